"""Linear layers of very sparse tickets as products of compressed sparse rows, where that is measured to be faster."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from lth.export import latency
from lth.export.csr import SparseLinear

DENSITY = 0.25  # layers above it are not tried
WEIGHTS = 50_000  # nor are smaller ones: a product takes microseconds


def sparsify(
    net: nn.Module, images: Tensor, batches: tuple[int, ...] = (1, 32), seconds: float = 0.3
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Return a copy of a network with sparse layers where they are faster on this machine, and what was measured.

    A layer is exchanged if its product is faster at each of ``batches``, on one thread. Layers over tokens are not tried.

    Args:
        images: normalised ones, by which the shapes of inputs are found.

    Returns:
        the network, and for each layer that was tried its ``layer``, ``density``, ``ratio`` of times (sparse / dense) by batch,
        and whether it is ``sparse`` now.
    """
    net, tried, flat = copy.deepcopy(net), [], _over_vectors(net, images)
    for name, layer in list(net.named_modules()):
        if name not in flat or layer.weight.numel() < WEIGHTS:
            continue
        density = float(layer.weight.count_nonzero()) / layer.weight.numel()
        if density > DENSITY:
            continue
        other = SparseLinear(layer)
        ratios = {batch: _ratio(layer, other, torch.rand(batch, layer.in_features), seconds) for batch in batches}
        faster = all(ratio < 1 for ratio in ratios.values())
        tried.append({"layer": name, "density": density, "ratio": ratios, "sparse": faster})
        if faster:
            net.set_submodule(name, other)
    return net, tried


def _over_vectors(net: nn.Module, images: Tensor) -> set[str]:
    """Return the names of the linear layers whose inputs are (n, features)."""
    names: set[str] = set()
    layers = {name: module for name, module in net.named_modules() if type(module) is nn.Linear}
    hooks = [
        module.register_forward_pre_hook(lambda _, args, name=name: names.add(name) if args[0].ndim == 2 else None)
        for name, module in layers.items()
    ]
    with torch.no_grad():
        net(images)
    for hook in hooks:
        hook.remove()
    return names


def _ratio(dense: nn.Module, sparse: nn.Module, x: Tensor, seconds: float) -> float:
    with latency.threads(1), torch.no_grad():
        times = latency.medians({"dense": lambda: dense(x), "sparse": lambda: sparse(x)}, seconds)
    return times["sparse"] / times["dense"]
