"""ResNet-20, the residual network for CIFAR-10 (He et al. 2016, section 4.2)."""

from collections import OrderedDict

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters, which skips pixels and adds channels of zeros (option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.stride, self.more = stride, outputs - inputs

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return self.relu(y + x)


def network(classes: int, width: float = 1.0, channels: int = 3) -> nn.Sequential:
    """Return the network, images (n, channels, h, w) of any size -> logits (n, classes); 0.27 M parameters for 10 classes.

    Kaiming-normal weights; no bias but the head's, which starts at zero. ``width`` multiplies the numbers of channels 16, 32
    and 64; each is at least 1.
    """
    first, second, third = (max(1, round(outputs * width)) for outputs in (16, 32, 64))
    parts = OrderedDict(
        conv1=_conv(channels, first),
        bn1=nn.BatchNorm2d(first),
        relu=nn.ReLU(inplace=True),
        layer1=nn.Sequential(*(Block(first, first, 1) for _ in range(3))),
        layer2=nn.Sequential(Block(first, second, 2), Block(second, second, 1), Block(second, second, 1)),
        layer3=nn.Sequential(Block(second, third, 2), Block(third, third, 1), Block(third, third, 1)),
        pool=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        head=nn.Linear(third, classes),
    )
    net = nn.Sequential(parts)
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(net.head.bias)
    return net


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
