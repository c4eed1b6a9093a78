"""Channels that can be removed only together: found by Torch-Pruning's dependency graph, kept as plain index tensors.

A group is a set of channels numbered from 0, with every place in the network where each of them is written (``out``: rows of a
convolution or a linear layer, entries of a BatchNorm) or read (``in``: columns of a weight). Two residual branches that are
added share one group; a concatenation shifts the positions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth.errors import DataError

CONV = nn.modules.conv._ConvNd
BATCHNORM = nn.modules.batchnorm._BatchNorm
PARAMETER = "a parameter of its own"


@dataclass(frozen=True)
class Slice:
    """Where a group's channels are in one module: channel ``channels[i]`` is at ``positions[i]`` of its outputs or inputs.

    Args:
        module: its name in the network.
        side: ``out`` or ``in``.
        channels, positions: int64, of one length.
    """

    module: str
    side: str
    channels: Tensor
    positions: Tensor


@dataclass(frozen=True)
class Group:
    """``channels`` of them, coupled by ``slices``."""

    channels: int
    slices: tuple[Slice, ...]


def coupled(net: nn.Module, images: Tensor) -> tuple[list[Group], dict[str, str]]:
    """Return the groups of a network that can be removed from, and those that cannot: name of the first module -> why.

    The network's outputs are in no group, nor are its inputs. Each group was tried: channels that are read nowhere any more
    must not move the outputs by a bit, whatever their values.

    Args:
        net: images (n, c, h, w) -> logits; its mode does not change.
        images: one or more of the network's size.

    Raises:
        DataError: Torch-Pruning is missing, or its graph does not take this network.
    """
    modules = dict(net.named_modules())
    groups, refused = [], {}
    for group in _traced(net, images):
        odd = sorted({_kind(modules.get(s.module)) for s in group.slices if not _known(modules.get(s.module))})
        if odd:
            refused[group.slices[0].module] = f"it reaches a {', '.join(odd)}"
        elif any(s.side == "in" for s in group.slices):  # others are the network's outputs
            groups.append(_bundled(group, modules))
    if not _separable(net, groups, images):
        alone = {group.slices[0].module: _separable(net, [group], images) for group in groups}
        refused |= {name: "its channels are read elsewhere, too" for name, holds in alone.items() if not holds}
        groups = [group for group in groups if alone[group.slices[0].module]]
    return groups, refused


def _known(module: nn.Module | None) -> bool:
    return isinstance(module, (CONV, nn.Linear, BATCHNORM))


def _kind(module: nn.Module | None) -> str:
    return PARAMETER if module is None else type(module).__name__


def _traced(net: nn.Module, images: Tensor) -> list[Group]:
    try:
        import torch_pruning
    except ImportError as error:
        raise DataError("channels need the package torch-pruning: pip install -e '.[export]'.") from error
    names = {module: name for name, module in net.named_modules()}
    required = {name: p.requires_grad for name, p in net.named_parameters()}
    training = [module for module in net.modules() if module.training]
    try:
        graph = torch_pruning.DependencyGraph().build_dependency(net.eval().requires_grad_(True), images[:1])
        found = list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]))
    except Exception as error:  # whatever a network makes the tracer raise
        raise DataError(f"Torch-Pruning's graph does not take {type(net).__name__} ({type(error).__name__}: {error}).") from error
    finally:
        for name, p in net.named_parameters():
            p.requires_grad_(required[name])
        for module in training:
            module.training = True
    return [_plain(group, graph, names) for group in found]


def _plain(group, graph, names: Mapping[nn.Module, str]) -> Group:  # noqa: ANN001 (Torch-Pruning's types)
    slices: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for item in group:
        module = item.dep.target.module
        if module not in names and not isinstance(module, nn.Parameter):
            continue  # an operation of the graph, such as an addition
        side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
        name = names.get(module, PARAMETER)
        slices.setdefault((name, side), set()).update(zip(item.root_idxs, item.idxs))
    parts = tuple(Slice(*place, *torch.tensor(sorted(pairs)).T) for place, pairs in slices.items())
    return Group(1 + max(int(part.channels.max()) for part in parts), parts)


def _bundled(group: Group, modules: Mapping[str, nn.Module]) -> Group:
    """Number channels alike that a grouped convolution needs removed together: those at one offset in each of its groups."""
    count = group.channels
    for part in group.slices:
        module = modules[part.module]
        if isinstance(module, CONV) and 1 < module.groups < module.in_channels:
            width = (module.out_channels if part.side == "out" else module.in_channels) // module.groups
            count = math.gcd(count, width)
    if count == group.channels:
        return group
    return Group(count, tuple(replace(part, channels=part.channels % count) for part in group.slices))


def removed(group: Group, keep: Tensor, side: str) -> dict[str, Tensor]:
    """Return module -> the positions, int64, of the channels that bool ``keep`` (channels) leaves out, on one side."""
    return {part.module: part.positions[~keep[part.channels]] for part in group.slices if part.side == side}


def read(module: nn.Module, positions: Tensor) -> Tensor:
    """Return where a weight reads the inputs at ``positions``; bool, of a shape that broadcasts to the weight's."""
    weight = module.weight
    groups = getattr(module, "groups", 1)
    inputs = torch.zeros(groups * weight.shape[1], dtype=torch.bool)
    inputs[positions] = True
    per_group = inputs.view(groups, 1, weight.shape[1]).expand(-1, weight.shape[0] // groups, -1)
    return per_group.reshape(weight.shape[0], weight.shape[1], *[1] * (weight.ndim - 2))


def _separable(net: nn.Module, groups: Sequence[Group], images: Tensor) -> bool:
    """Return whether half of each group's channels, read nowhere, can have any values without effect on the outputs."""
    modules, training = dict(net.named_modules()), [module for module in net.modules() if module.training]
    generator = torch.Generator().manual_seed(0)
    unread, changed = {}, {}
    for group in groups:
        keep = torch.rand(group.channels, generator=generator) < 0.5
        for name, positions in removed(group, keep, "in").items():
            weight = unread.get(f"{name}.weight", modules[name].weight.detach())
            unread[f"{name}.weight"] = torch.where(read(modules[name], positions).to(weight.device), 0, weight)
        for name, positions in removed(group, keep, "out").items():
            changed[name] = positions
    other = dict(unread)
    for name, positions in changed.items():
        for kind, p in modules[name].named_parameters(recurse=False):
            key = f"{name}.{kind}"
            other[key] = other.get(key, p.detach()).clone()
            other[key][positions.to(p.device)] *= -1.5
    try:
        with torch.no_grad():
            return torch.equal(functional_call(net.eval(), unread, (images,)), functional_call(net, other, (images,)))
    finally:
        for module in training:
            module.training = True


def masks(groups: Sequence[Group], keeps: Sequence[Tensor], net: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Return masks, by parameter name, that prune every weight by which a channel that is not kept is written or read.

    Args:
        keeps: bool (channels), one for each group, True = kept.
        names: of the weights that get a mask.
    """
    modules = dict(net.named_modules())
    result = {name: torch.ones_like(net.get_parameter(name), dtype=torch.bool, device="cpu") for name in names}
    for group, keep in zip(groups, keeps, strict=True):
        for module, positions in removed(group, keep, "in").items():
            if (name := f"{module}.weight") in result and not _depthwise(modules[module]):
                result[name] &= ~read(modules[module], positions)
        for module, positions in removed(group, keep, "out").items():
            if (name := f"{module}.weight") in result:
                result[name][positions] = False
    return result


def _depthwise(module: nn.Module) -> bool:
    return isinstance(module, CONV) and module.groups == module.in_channels > 1


def kept(groups: Sequence[Group], masks: Mapping[str, Tensor], net: nn.Module) -> list[Tensor]:
    """Return, for each group, which channels have any weight left by which they are written or read; bool (channels)."""
    modules = dict(net.named_modules())
    result = []
    for group in groups:
        keep = torch.zeros(group.channels, dtype=torch.bool)
        for part in group.slices:
            if (mask := masks.get(f"{part.module}.weight")) is None:
                continue
            alive = mask.flatten(1).any(1) if part.side == "out" else read_by(modules[part.module], mask)
            keep[part.channels[alive[part.positions]]] = True
        result.append(keep)
    return result


def read_by(module: nn.Module, mask: Tensor) -> Tensor:
    """Return which inputs a masked weight reads; bool (inputs)."""
    groups = getattr(module, "groups", 1)
    return mask.view(groups, mask.shape[0] // groups, mask.shape[1], -1).any(dim=3).any(dim=1).flatten()


def magnitudes(groups: Sequence[Group], weights: Mapping[str, Tensor], net: nn.Module) -> list[Tensor]:
    """Return each channel's group magnitude, float32 (channels): the mean over its places of the sum of squared weights.

    Divided by the mean over the group's channels, so that groups of different sizes can be ranked together (Fang et al. 2023,
    arXiv 2301.12900, section 3.3). BatchNorm weights and biases do not count.
    """
    modules = dict(net.named_modules())
    result = []
    for group in groups:
        total, places = torch.zeros(group.channels), 0
        for part in group.slices:
            if (weight := weights.get(f"{part.module}.weight")) is None or weight.ndim < 2:
                continue
            square = weight.detach().cpu().float().square()
            per = square.flatten(1).sum(1) if part.side == "out" else _sum_read(modules[part.module], square)
            total.index_add_(0, part.channels, per[part.positions])
            places += 1
        total = total / max(places, 1)
        result.append(total / total.mean().clamp(min=torch.finfo(torch.float32).tiny))
    return result


def _sum_read(module: nn.Module, square: Tensor) -> Tensor:
    groups = getattr(module, "groups", 1)
    return square.view(groups, square.shape[0] // groups, square.shape[1], -1).sum(dim=(1, 3)).flatten()
