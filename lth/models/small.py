"""Small networks of the Lottery Ticket papers and the previous study.

They are images (n, channels, image_size, image_size) -> logits (n, classes). Their children are the blocks, ``head`` the last.
Pooling comes before the ReLU: the output is the same, as both are monotone, with a quarter of the work.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


def lenet_300_100(classes: int, image_size: int, channels: int = 3) -> nn.Sequential:
    """LeNet-300-100 (Frankle & Carbin 2019, figure 2)."""
    parts = OrderedDict(
        fc1=nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 300), nn.ReLU()),
        fc2=nn.Sequential(nn.Linear(300, 100), nn.ReLU()),
        head=nn.Linear(100, classes),
    )
    return _initialised(nn.Sequential(parts), nn.init.xavier_normal_)


def conv(convolutions: int, classes: int, image_size: int, channels: int = 3) -> nn.Sequential:
    """Conv-2, Conv-4 or Conv-6 (Frankle & Carbin 2019, figure 2): pairs of 64, 128 and 256 channels.

    On 32x32 colour images they have 4.3, 2.4 and 2.3 M weights; the paper says 4.3, 2.4 and 1.7 M.
    """
    parts, inputs = OrderedDict(), channels
    for i in range(convolutions):
        outputs, pool = 64 * 2 ** (i // 2), [nn.MaxPool2d(2)] * (i % 2)
        parts[f"conv{i + 1}"] = nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *pool, nn.ReLU())
        inputs = outputs
    side = image_size // 2 ** (convolutions // 2)
    parts["fc1"] = nn.Sequential(nn.Flatten(), nn.Linear(inputs * side**2, 256), nn.ReLU())
    parts["fc2"] = nn.Sequential(nn.Linear(256, 256), nn.ReLU())
    parts["head"] = nn.Linear(256, classes)
    return _initialised(nn.Sequential(parts), nn.init.xavier_normal_)


def _initialised(net: nn.Sequential, draw: Callable[[Tensor], Tensor]) -> nn.Sequential:
    """Draw the weights as the paper does, and set biases to zero."""
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            draw(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


def simple_cnn(classes: int, image_size: int, channels: int = 3, dropout: float = 0.2) -> nn.Sequential:
    """The previous study's network for natural scenes."""
    parts = OrderedDict(
        conv1=nn.Sequential(nn.Conv2d(channels, 15, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), Dropout(dropout)),
        conv2=nn.Sequential(nn.Conv2d(15, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(), Dropout(dropout)),
        fc1=nn.Sequential(nn.Flatten(), nn.Linear(4 * (image_size // 4) ** 2, 1024), nn.ReLU()),
        fc2=nn.Sequential(nn.Linear(1024, 512), nn.ReLU()),
        fc3=nn.Sequential(nn.Linear(512, 128), nn.ReLU()),
        fc4=nn.Sequential(nn.Linear(128, 64), nn.ReLU()),
        head=nn.Linear(64, classes),
    )
    return nn.Sequential(parts)


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


def resnet20(classes: int, channels: int = 3, width: float = 1.0) -> nn.Sequential:
    """ResNet-20 for CIFAR-10 (He et al. 2016, section 4.2), 0.27 M parameters, with Kaiming-normal weights.

    ``width`` multiplies the numbers of channels 16, 32 and 64; each is at least 1.
    """
    first, second, third = (max(1, round(outputs * width)) for outputs in (16, 32, 64))
    parts = OrderedDict(
        conv1=nn.Conv2d(channels, first, 3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(first),
        relu=nn.ReLU(inplace=True),
        layer1=nn.Sequential(*(BasicBlock(first, first) for _ in range(3))),
        layer2=_halved(first, second),
        layer3=_halved(second, third),
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        head=nn.Linear(third, classes),
    )
    return _initialised(nn.Sequential(parts), nn.init.kaiming_normal_)


def _halved(inputs: int, outputs: int) -> nn.Sequential:
    """Return three blocks, the first of which halves height and width."""
    first = BasicBlock(inputs, outputs, stride=2, downsample=Shortcut(outputs - inputs))
    return nn.Sequential(first, BasicBlock(outputs, outputs), BasicBlock(outputs, outputs))


class Shortcut(nn.Module):
    """Skips every second pixel and adds ``more`` channels of zeros (option A of the paper)."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))
