"""A small network, a batch, and every criterion on them."""

from collections.abc import Callable

import torch
from torch import nn

from lth.pruning import criteria
from lth.pruning import masks as M


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=4),
        nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 16, 5),
    )  # fmt: skip


def dense(net: nn.Module) -> M.Masks:
    params = dict(net.named_parameters())
    return M.dense({n: params[n] for n in M.prunable(net, scope="all")})


def batch(n: int = 6) -> criteria.Batch:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(n, 3, 8, 8, generator=rng), torch.arange(n) % 5


def scorers(net: nn.Module) -> dict[str, Callable[[M.Masks], criteria.Scores]]:
    """Each criterion as a function of the masks alone."""
    return {
        "magnitude": lambda masks: criteria.magnitude(dict(net.named_parameters()), masks),
        "random": lambda masks: criteria.random(3, masks),
        "snip": lambda masks: criteria.snip(net, batch(), masks),
        "grasp": lambda masks: criteria.grasp(net, batch(), masks),
        "synflow": lambda masks: criteria.synflow(net, (3, 8, 8), masks),
        "equal": lambda masks: {name: torch.ones(mask.shape) for name, mask in masks.items()},
    }
