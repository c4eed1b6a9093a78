"""Small networks with every way in which channels are coupled."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision import models

from lth.models import efficientnet_lite0, small


class Own(nn.Module):
    """A user's network: a concatenation, a depthwise and a grouped convolution, an addition, odd activations."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(3, 10, 1)
        self.norm = nn.BatchNorm2d(16)
        self.depthwise, self.grouped = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 16, 3, groups=4)
        self.residual = nn.Conv2d(16, 16, 1, bias=False)
        self.fc1, self.head = nn.Linear(16, 12), nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.cat([self.left(x), self.right(x)], 1))
        x = nn.functional.hardswish(self.depthwise(nn.functional.relu6(x)))
        x = self.grouped(x).clamp(-0.5, 2)
        x = nn.functional.adaptive_avg_pool2d(x + self.residual(x), 1).flatten(1)
        return self.head(nn.functional.gelu(self.fc1(x)))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "simple_cnn": lambda: small.simple_cnn(6, 32, dropout=0.0),
    "conv2": lambda: small.conv(2, 6, 32),
    "lenet_300_100": lambda: small.lenet_300_100(6, 32),
    "resnet20": lambda: small.resnet20(6),
    "efficientnet_lite0": lambda: _first(efficientnet_lite0.network(6, "linear")),
    "resnet18": lambda: models.resnet18(num_classes=6),
    "densenet121": lambda: models.densenet121(num_classes=6),
    "resnext50_32x4d": lambda: models.resnext50_32x4d(num_classes=6),
    "mobilenet_v3_small": lambda: models.mobilenet_v3_small(num_classes=6),
    "own": Own,
}


def _first(made: nn.Module | tuple) -> nn.Module:
    return made[0] if isinstance(made, tuple) else made


def network(name: str) -> nn.Module:
    """Return a network in eval mode whose BatchNorms are as if it had been trained."""
    torch.manual_seed(0)
    net = NETWORKS[name]().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net


def images(count: int = 8, size: int = 32) -> Tensor:
    """Return normalised images (count, 3, size, size)."""
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(1))
