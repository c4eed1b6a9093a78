"""LeNet-300-100, the fully connected network of the Lottery Ticket paper (Frankle & Carbin 2019, figure 2)."""

from collections import OrderedDict

import torch.nn as nn

from lth.config import Optim
from lth.models.classifier import Classifier


def network(classes: int, image_size: int, channels: int = 3) -> nn.Sequential:
    """Images (n, channels, image_size, image_size) -> logits (n, classes).

    Glorot-normal weights and zero biases, as in the paper.
    """
    net = nn.Sequential(
        OrderedDict(
            fc1=nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 300), nn.ReLU()),
            fc2=nn.Sequential(nn.Linear(300, 100), nn.ReLU()),
            head=nn.Linear(100, classes),
        )
    )
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


class LeNet300100(Classifier):
    """The network above as a LightningModule."""

    def __init__(self, optim: Optim, classes: int, image_size: int, finetune: str = "all", channels: int = 3) -> None:
        super().__init__(network(classes, image_size, channels), optim, classes, finetune)
