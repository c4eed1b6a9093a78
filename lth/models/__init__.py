"""Architectures: one LightningModule each, around a plain network with stock state_dict keys."""

from lth.config import Config
from lth.models.classifier import Classifier


def build(config: Config, classes: int) -> Classifier:
    """The LightningModule that ``config.model`` names, freshly initialised from torch's generator."""
    common = {"optim": config.optim, "classes": classes, "image_size": config.data.image_size, "finetune": config.finetune}
    match config.model.name:
        case "simple_cnn":
            from lth.models.simple_cnn import SimpleCNN

            return SimpleCNN(dropout=config.model.dropout, **common)
        case "lenet_300_100":
            from lth.models.lenet_300_100 import LeNet300100

            return LeNet300100(**common)
