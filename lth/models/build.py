"""From the configuration to a LightningModule with its weights."""

from pathlib import Path

import torch

from lth.config import Config
from lth.models import weights
from lth.models.classifier import Classifier


def build(config: Config, classes: int, weights_file: Path | None = None) -> Classifier:
    """The LightningModule that ``config.model`` names, initialised from torch's generator, then from ``weights_file``.

    Raises:
        UsageError: there is no such network or block.
        DataError: the weights do not fit.
    """
    model = _build(config, classes)
    if weights_file is not None:
        weights.load(model.net, weights_file, model.head_name)
    return model.train()


def check(config: Config, weights_file: Path | None = None) -> None:
    """Raise what ``build`` would: UsageError for a network or a block, DataError for weights. Draws and computes nothing."""
    with torch.device("meta"):
        model = _build(config, 2)
    if weights_file is not None:
        weights.fitting(model.net, weights_file, model.head_name)


def _build(config: Config, classes: int) -> Classifier:
    model, optim, finetune = config.model, config.optim, config.finetune
    size, channels = config.data.image_size, config.data.channels
    match model.name:
        case "simple_cnn":
            from lth.models.simple_cnn import SimpleCNN

            return SimpleCNN(optim, classes, size, model.dropout, finetune, channels)
        case "lenet_300_100":
            from lth.models.lenet_300_100 import LeNet300100

            return LeNet300100(optim, classes, size, finetune, channels)
        case "conv2" | "conv4" | "conv6":
            from lth.models.conv import Conv

            return Conv(int(model.name[-1]), optim, classes, size, finetune, channels)
        case "resnet20":
            from lth.models.resnet20 import ResNet20

            return ResNet20(optim, classes, model.width, finetune, model.frozen_bn, channels)
        case "efficientnet_lite0":
            from lth.models.efficientnet_lite0 import EfficientNetLite0

            return EfficientNetLite0(optim, classes, model.head, finetune, model.frozen_bn)
        case _:
            from lth.models.zoo import Zoo

            return Zoo(model.name, optim, classes, model.head, finetune, model.frozen_bn)
