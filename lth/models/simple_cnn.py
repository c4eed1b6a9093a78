"""The ancestor's two-convolution network for natural scenes, sized for any image."""

from collections import OrderedDict

import torch.nn as nn

from lth.config import Optim
from lth.models.classifier import Classifier
from lth.models.fast import Dropout


def network(classes: int, image_size: int, dropout: float = 0.2, channels: int = 3) -> nn.Sequential:
    """Images (n, channels, image_size, image_size) -> logits (n, classes).

    conv 15, conv 4 (3x3, padding 1, each pooled by 2 and dropped out), linear 1024, 512, 128, 64, classes. Pooling
    stands before the ReLU: both are monotone, so the output is the same and a quarter of the pixels is rectified.
    """
    side = image_size // 2 // 2
    return nn.Sequential(
        OrderedDict(
            conv1=_convolution(channels, 15, dropout),
            conv2=_convolution(15, 4, dropout),
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(4 * side * side, 1024), nn.ReLU()),
            fc2=nn.Sequential(nn.Linear(1024, 512), nn.ReLU()),
            fc3=nn.Sequential(nn.Linear(512, 128), nn.ReLU()),
            fc4=nn.Sequential(nn.Linear(128, 64), nn.ReLU()),
            head=nn.Linear(64, classes),
        )
    )


def _convolution(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), Dropout(dropout))


class SimpleCNN(Classifier):
    """The network above as a LightningModule."""

    def __init__(
        self, optim: Optim, classes: int, image_size: int, dropout: float = 0.2, finetune: str = "all", channels: int = 3
    ) -> None:
        super().__init__(network(classes, image_size, dropout, channels), optim, classes, finetune)
