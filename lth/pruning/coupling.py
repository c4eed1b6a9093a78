"""Which channels of a network can be removed only together, by the dependency graph of Torch-Pruning (arXiv 2301.12900)."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lth.errors import DataError, require_package
from lth.pruning.channels import Group, Keep, Slice, columns
from lth.pruning.slicing import BATCHNORM, CONV, depthwise, take

PARAMETER = "parameter of its own"
ENDLESS = ("ShiftedWindowAttention", "ShiftedWindowAttentionV2")  # the graph's search takes hours in Swin transformers


def coupled(net: nn.Module, images: Tensor) -> tuple[list[Group], dict[str, str]]:
    """Return a network's groups of coupled channels, and those that nothing can be removed from: first module -> why.

    Neither the network's inputs nor its outputs are in a group. The groups were tried: the values of channels that are read
    nowhere any more must not move an output by a bit, and the network without them must have the same outputs.

    Args:
        net: images (n, c, h, w) -> logits; it is not changed.
        images: one or more of the network's size.

    Raises:
        UsageError: Torch-Pruning is not installed.
        DataError: its graph does not take this network.
    """
    modules = dict(net.named_modules())
    groups, refused = [], {}
    with _evaluated(net):
        for raw in _traced(net, images):
            name, group = raw[0][0][0], _regular(raw, modules)
            if isinstance(group, str):
                refused[name] = group
            elif any(part.side == "in" for part in group.slices):  # others are the network's outputs
                groups.append(group)
        if not removable(net, groups, images):
            alone = [removable(net, [group], images) for group in groups]
            refused |= {g.slices[0].module: "they cannot be taken out alone" for g, ok in zip(groups, alone) if not ok}
            groups = [group for group, ok in zip(groups, alone) if ok]
    return groups, refused


@contextmanager
def _evaluated(net: nn.Module) -> Iterator[None]:
    training = [module for module in net.modules() if module.training]
    required = [p for p in net.parameters() if p.requires_grad]
    net.eval().requires_grad_(True)  # the graph follows gradients
    try:
        yield
    finally:
        net.requires_grad_(False)
        for p in required:
            p.requires_grad_(True)
        for module in training:
            module.training = True


Raw = list[tuple[tuple[str, str], list[tuple[int, int]]]]  # (module, side), pairs of a channel and a position


def _traced(net: nn.Module, images: Tensor) -> list[Raw]:
    require_package("torch_pruning", "prune=channels", "export")
    import torch_pruning

    if odd := [type(m).__name__ for m in net.modules() if type(m).__name__ in ENDLESS]:
        raise DataError(f"Torch-Pruning's graph does not take {type(net).__name__}: its search does not end in {odd[0]}.")
    names: dict[Any, str] = {module: name for name, module in net.named_modules()}
    try:
        graph = torch_pruning.DependencyGraph().build_dependency(net, images[:1])
        return [_places(group, graph, names) for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])]
    except Exception as error:  # whatever a network makes the tracer raise
        raise DataError(f"Torch-Pruning's graph does not take {type(net).__name__} ({type(error).__name__}: {error}).") from error


def _places(group: Any, graph: Any, names: Mapping[Any, str]) -> Raw:
    places: dict[tuple[str, str], set[tuple[int, int]]] = {}
    for item in group:
        module = item.dep.target.module
        if module in names or isinstance(module, nn.Parameter):  # others are operations of the graph, such as an addition
            side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
            places.setdefault((names.get(module, PARAMETER), side), set()).update(zip(item.root_idxs, item.idxs))
    return [(place, sorted(pairs, key=lambda pair: pair[1])) for place, pairs in places.items()]


def _regular(raw: Raw, modules: Mapping[str, nn.Module]) -> Group | str:
    """Return a group, or why it is none: a clause."""
    odd = [name for (name, _), _ in raw if not _known(name, modules)]
    if odd:
        kinds = {name if name == PARAMETER else type(modules[name]).__name__ for name in odd}
        return f"they reach a {' and a '.join(sorted(kinds))}"
    whole = 1 + max(channel for _, pairs in raw for channel, _ in pairs)
    count, parts = whole, []
    for (name, side), pairs in raw:
        size, (first, begin) = _size(modules[name], side), pairs[0]
        if begin + len(pairs) > size:
            return "they are not all channels"  # a linear layer over pixels, for example
        each = sum(channel == first for channel, _ in pairs)
        if [((first + i // each) % whole, begin + i) for i in range(len(pairs))] != pairs:
            return "their order is irregular"
        count = math.gcd(count, _unit(modules[name], side))
        parts.append(Slice(name, side, begin, len(pairs), first, each, size))
    return Group(count, tuple(parts))


def _known(name: str, modules: Mapping[str, nn.Module]) -> bool:
    module = modules.get(name)
    return isinstance(module, (CONV, nn.Linear, BATCHNORM)) and not isinstance(module, nn.modules.conv._ConvTransposeNd)


def _unit(module: nn.Module, side: str) -> int:
    """Return how many channels can be told apart: in a grouped convolution those at one offset of all groups are one."""
    grouped = isinstance(module, CONV) and module.groups > 1 and not depthwise(module)
    return _size(module, side) // module.groups if grouped else 0  # gcd(count, 0) is count


def _size(module: nn.Module, side: str) -> int:
    if isinstance(module, CONV):
        return module.out_channels if side == "out" else module.in_channels
    if isinstance(module, nn.Linear):
        return module.out_features if side == "out" else module.in_features
    return module.num_features


def within(groups: Sequence[Group], net: nn.Module, names: Sequence[str]) -> list[Group]:
    """Return the groups whose convolutional and linear weights are all among ``names``."""
    layers = {f"{name}.weight" for name, module in net.named_modules() if isinstance(module, (CONV, nn.Linear))}
    return [group for group in groups if layers & {f"{part.module}.weight" for part in group.slices} <= set(names)]


def removable(net: nn.Module, groups: Sequence[Group], images: Tensor) -> bool:
    """Return whether half of each group's channels, read nowhere, can have any values, and can be taken out."""
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.rand(group.channels, generator=generator) < 0.5 for group in groups]
    for one in drawn:
        one[0] = True
    unread, other = _unread(net, groups, drawn)
    with torch.no_grad():
        outputs = functional_call(net, unread, (images,))
        if not torch.equal(outputs, functional_call(net, unread | other, (images,))):
            return False
        small = copy.deepcopy(net)
        small.load_state_dict(unread, strict=False)
        try:
            taken = take(small, groups, drawn)(images)
        except (RuntimeError, IndexError, ValueError):  # a forward that depends on the number of channels
            return False
    return taken.shape == outputs.shape and torch.allclose(taken, outputs, rtol=1e-3, atol=1e-4 * float(outputs.abs().max()))


def _unread(net: nn.Module, groups: Sequence[Group], keep: Keep) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the parameters with the columns of the other channels at zero, and those by which they are written changed, too."""
    unread, other = {name: p.detach() for name, p in net.named_parameters()}, {}
    for side in ("in", "out"):
        for group, one in zip(groups, keep):
            for part in (part for part in group.slices if part.side == side):
                weight = unread.get(f"{part.module}.weight")
                if weight is None:
                    continue
                gone = ~group.spread(part, one, True).to(weight.device)
                if side == "in":
                    unread[f"{part.module}.weight"] = torch.where(columns(weight.shape, gone), 0, weight)
                    continue
                for name in (f"{part.module}.weight", f"{part.module}.bias"):
                    if name in unread:
                        value = other.get(name, unread[name])
                        other[name] = torch.where(gone.view(-1, *[1] * (value.ndim - 1)), -1.5 * value, value)
    return unread, other
