"""What networks with pretrained weights share: a new head in the place of the old classifier."""

from typing import Any

from torch import nn

from lth.errors import UsageError


def head(features: int, classes: int, kind: str) -> nn.Module:
    """The ancestor's head, ``mlp``: features -> features / 2 -> ReLU -> classes; or ``linear``: features -> classes."""
    if kind == "linear":
        return nn.Linear(features, classes)
    return nn.Sequential(nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, classes))


def put_head(net: nn.Module, classes: int, kind: str) -> str:
    """Replace the network's last linear layer by a new head of ``kind``; returns its name."""
    linear = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UsageError(f"model.name={type(net).__name__} is not accepted: it has no linear classifier to replace.")
    name, last = linear[-1]
    parent, _, leaf = name.rpartition(".")
    place: Any = net.get_submodule(parent)
    new = head(last.in_features, classes, kind)
    if leaf.isdigit():
        place[int(leaf)] = new
    else:
        setattr(place, leaf, new)
    return name
