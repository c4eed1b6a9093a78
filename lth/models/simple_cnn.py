"""The previous study's network of two convolutions for natural scenes, for images of any size."""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from typing_extensions import override


def network(classes: int, image_size: int, dropout: float = 0.2, channels: int = 3) -> nn.Sequential:
    """Return the network, images (n, channels, image_size, image_size) -> logits (n, classes).

    conv 15, conv 4 (3x3, padding 1, each pooled by 2 and dropped out), linear 1024, 512, 128, 64, classes. Pooling comes
    before the ReLU: both are monotone, so the output is the same, and the ReLU has a quarter of the pixels to compute.
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


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws 16 random bits an element on the CPU; torch's own draws at least 32, serially.

    The probability is exact to 2**-16. Draws come from torch's default generator, so ``torch.manual_seed`` holds.
    """

    @override
    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.int16)[: x.numel()]
        multiplier = (drawn >= round(self.p * 65536) - 32768).to(x.dtype).mul_(1 / (1 - self.p))
        return x * multiplier.as_strided(x.shape, x.stride())
