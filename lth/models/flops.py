"""Floating-point operations of each layer, counted by torch's own counter while one image passes."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lth.models.blocks import evaluating

KINDS = (nn.Linear, nn.modules.conv._ConvNd)


def per_layer(net: nn.Module, image_size: int, channels: int = 3) -> dict[str, int]:
    """FLOPs (a multiplication and an addition are two) of each Conv and Linear layer for a square image, by its weight's name."""
    like = next(net.parameters())
    with torch.no_grad(), evaluating(net), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, channels, image_size, image_size, device=like.device))
    counts = counter.get_flop_counts()
    layers = {name: m for name, m in net.named_modules() if isinstance(m, KINDS)}
    own = type(net).__name__
    return {f"{name}.weight": sum(counts.get(f"{own}.{name}", {}).values()) for name in layers}


def remaining(dense: dict[str, int], density: dict[str, float]) -> float:
    """FLOPs that are left where each layer's are as its density; layers without a mask keep all of theirs."""
    return sum(flops * density.get(name, 1.0) for name, flops in dense.items())
