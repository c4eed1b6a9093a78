"""LeNet-300-100, the fully connected network of the Lottery Ticket paper (Frankle & Carbin 2019, figure 2)."""

from collections import OrderedDict

import torch.nn as nn


def network(classes: int, image_size: int, channels: int = 3) -> nn.Sequential:
    """Return the network, images (n, channels, image_size, image_size) -> logits (n, classes).

    Glorot-normal weights and zero biases, as in the paper.
    """
    parts = OrderedDict(
        fc1=nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 300), nn.ReLU()),
        fc2=nn.Sequential(nn.Linear(300, 100), nn.ReLU()),
        head=nn.Linear(100, classes),
    )
    return glorot_(nn.Sequential(parts))


def glorot_(net: nn.Sequential) -> nn.Sequential:
    """Draw Glorot-normal weights for all layers and set their biases to zero; return the network."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
    return net
