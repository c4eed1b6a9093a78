"""Weights of a file that lacks some: BatchNorm that was folded into the layers before it, and parts that are not there."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from lth.models import cut

NORM = nn.modules.batchnorm._BatchNorm
LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


def unfolded(state: Mapping[str, Tensor], net: nn.Module) -> tuple[dict[str, Tensor], list[str]]:
    """Return ``state`` with values of each BatchNorm of ``net`` that was folded into the layer before it, and their names.

    It was folded where ``state`` has the bias of that layer and nothing of the BatchNorm, which then gets weight 1, mean 0,
    variance 1 - eps, and the bias of the layer where the network's own has none: in eval mode it adds that bias alone.
    """
    state, live, found = dict(state), net.state_dict(), []
    for layer, norm in _pairs(net):
        eps = net.get_submodule(norm).eps
        values = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1 - eps}
        names = {f"{norm}.{key}": value for key, value in values.items()}
        folded = f"{layer}.bias" in state and not any(name.startswith(f"{norm}.") for name in state)
        if not folded or not names.keys() <= live.keys():
            continue
        found.append(norm)
        bias = state[f"{layer}.bias"]
        state |= {name: torch.full_like(bias, value) for name, value in names.items()}
        if f"{layer}.bias" not in live:
            state[f"{norm}.bias"] = state.pop(f"{layer}.bias")
    return state, found


def missing(state: Mapping[str, Tensor], net: nn.Module) -> list[str]:
    """Return the parts of ``net`` that ``state`` lacks: modules of which it has nothing, else single tensors."""
    names = [name for name in net.state_dict() if not name.endswith("num_batches_tracked")]
    there = {name[:end] for name in names if name in state for end in _ends(name)}
    lacking = (name for name in names if name not in state)
    return list(dict.fromkeys(next(name[:end] for end in _ends(name) if name[:end] not in there) for name in lacking))


def _ends(name: str) -> list[int]:
    """Return where the names of the modules around a tensor end, and its own."""
    return [i for i, letter in enumerate(name) if letter == "."] + [len(name)]


class _Tracer(cut.Tracer):
    """Takes a BatchNorm as one operation, timm's with an activation in it, too."""

    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, NORM) or super().is_leaf_module(module, qualified_name)


def _pairs(net: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of each layer and of the BatchNorm that alone takes its outputs; none where a forward cannot be traced."""
    try:
        with torch.random.fork_rng(devices=[]):
            graph = cut.trace(net, _Tracer())
    except Exception:  # a forward may do anything
        return
    for node in graph.nodes:
        if node.op == "call_module" and isinstance(net.get_submodule(node.target), NORM):
            layer = node.args[0]
            if layer.op == "call_module" and len(layer.users) == 1 and isinstance(net.get_submodule(layer.target), LAYERS):
                yield layer.target, node.target
