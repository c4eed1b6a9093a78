"""ResNet-20, the residual network for CIFAR-10 (He et al. 2016, section 4.2)."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


class Shortcut(nn.Module):
    """Skips every second pixel and adds ``more`` channels of zeros, without parameters (option A of the paper)."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))


def network(classes: int, width: float = 1.0, channels: int = 3) -> nn.Sequential:
    """Return the network, images (n, channels, h, w) of any size -> logits (n, classes); 0.27 M parameters for 10 classes.

    Kaiming-normal weights; no bias but the head's, which starts at zero. ``width`` multiplies the numbers of channels 16, 32
    and 64; each is at least 1.
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
    net = nn.Sequential(parts)
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(net.head.bias)
    return net


def _halved(inputs: int, outputs: int) -> nn.Sequential:
    """Return three blocks, the first of which halves height and width."""
    first = BasicBlock(inputs, outputs, stride=2, downsample=Shortcut(outputs - inputs))
    return nn.Sequential(first, BasicBlock(outputs, outputs), BasicBlock(outputs, outputs))
