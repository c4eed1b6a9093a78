"""The previous study's network of two convolutions for natural scenes, for images of any size."""

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws 16 random bits an element on the CPU; torch's draws at least 32, serially.

    The probability is exact to 2**-16. Draws come from torch's default generator.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0 or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.int16)[: x.numel()]
        multiplier = (drawn >= round(self.p * 65536) - 32768).to(x.dtype).mul_(1 / (1 - self.p))
        return x * multiplier.as_strided(x.shape, x.stride())


def network(classes: int, image_size: int, dropout: float = 0.2, channels: int = 3) -> nn.Sequential:
    """Return the network, images (n, channels, image_size, image_size) -> logits (n, classes).

    conv 15, conv 4 (3x3, padding 1, each pooled by 2 and dropped out), linear 1024, 512, 128, 64, classes. Pooling comes
    before the ReLU: both are monotone, so the output is the same, and the ReLU has a quarter of the pixels to compute.
    """
    parts, inputs = OrderedDict(), channels
    for i, outputs in enumerate((15, 4), 1):
        conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        parts[f"conv{i}"] = nn.Sequential(conv, nn.MaxPool2d(2), nn.ReLU(), Dropout(dropout))
        inputs = outputs
    inputs, flatten = 4 * (image_size // 2 // 2) ** 2, [nn.Flatten()]
    for i, outputs in enumerate((1024, 512, 128, 64), 1):
        parts[f"fc{i}"] = nn.Sequential(*flatten, nn.Linear(inputs, outputs), nn.ReLU())
        inputs, flatten = outputs, []
    parts["head"] = nn.Linear(inputs, classes)
    return nn.Sequential(parts)
