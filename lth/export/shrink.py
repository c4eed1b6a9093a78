"""Remove, exactly, the channels and units of a network that no input reaches or that reach no output."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from lth.errors import DataError
from lth.pruning import channels
from lth.pruning.channels import BATCHNORM, CONV, Group


@dataclass(frozen=True)
class Shrunk:
    """A smaller network with the same outputs.

    ``removed``: module -> number of its outputs that were removed; ``left``: group's first module, or ``network`` -> why nothing
    could be removed there.
    """

    network: nn.Module
    removed: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def shrink(net: nn.Module, images: Tensor) -> Shrunk:
    """Return a copy of a network without its dead channels; outputs differ by rounding alone.

    A channel is dead if every weight that reads it is zero, or if it has one value whatever the input and that value can be
    moved into the biases of the layers that read it: always for 0 and for linear layers, else where nothing is padded.

    Args:
        net: images (n, c, h, w) -> logits, in eval mode; it is not changed.
        images: one or more of the size that it is to serve.
    """
    net = copy.deepcopy(net).eval().requires_grad_(False)
    try:
        groups, left = channels.coupled(net, images)
    except DataError as error:
        if "needs the package" in str(error):
            raise
        return Shrunk(net, left={"network": str(error)})
    keeps = [torch.ones(group.channels, dtype=torch.bool) for group in groups]
    while any([_silence(net, groups, keeps, images)]):
        pass
    before = {name: len(m.weight) for name, m in net.named_modules() if isinstance(m, (CONV, nn.Linear))}
    small = slice_network(net, groups, keeps)
    removed = {n: count - len(small.get_submodule(n).weight) for n, count in before.items()}
    return Shrunk(small, {n: count for n, count in removed.items() if count}, left)


def _silence(net: nn.Module, groups: list[Group], keeps: list[Tensor], images: Tensor) -> bool:
    """Fold and zero what reads and writes dead channels; clear them in ``keeps``; return whether there were new ones."""
    modules, seen, new = dict(net.named_modules()), constants(net, images), False
    for group, keep in zip(groups, keeps, strict=True):
        dead = keep.clone()
        for part in group.slices:
            if part.side == "in":
                foldable = ~_read(modules[part.module]) | seen[part.module].foldable
                dead[part.channels[~foldable[part.positions]]] = False
        if len(dead) and dead.sum() == keep.sum():  # a layer keeps one channel: torch has no empty convolutions
            dead[keep.nonzero()[0]] = False
        if not dead.any():
            continue
        new = True
        keep &= ~dead
        for name, positions in channels.removed(group, ~dead, "in").items():
            _fold_(modules[name], positions, seen[name].value)
        for name, positions in channels.removed(group, ~dead, "out").items():
            _write_zero_(modules[name], positions)
    return new


def _read(module: nn.Module) -> Tensor:
    """Return which inputs a layer reads by a weight that is not zero; bool (inputs)."""
    return channels.read_by(module, module.weight != 0)


@dataclass(frozen=True)
class Input:
    """What reaches a layer, whatever the images: ``value`` (inputs), and ``foldable`` (inputs), whether it is constant."""

    value: Tensor
    foldable: Tensor


def constants(net: nn.Module, images: Tensor) -> dict[str, Input]:
    """Return, for each convolution and linear layer, which of its inputs do not depend on the images, and their values.

    The network is run on NaN. A product with a weight of zero does not carry NaN on, all else does; so what is a number at the
    input of a layer is the same for all images.
    """
    probe = _Unknown({id(m.weight): (n, m) for n, m in net.named_modules() if isinstance(m, (CONV, nn.Linear))})
    with torch.no_grad(), probe:
        net(torch.full_like(images[:1], torch.nan))
    return probe.inputs


class _Unknown(TorchFunctionMode):
    def __init__(self, layers: Mapping[int, tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.layers = layers
        self.inputs: dict[str, Input] = {}

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in (F.linear, torch.conv1d, torch.conv2d, torch.conv3d):
            return self._product(func, *args, **kwargs)
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.is_floating_point():  # some functions, such as a clamp, may lose a NaN
            for one in args:
                if isinstance(one, Tensor) and one.shape == out.shape and one.is_floating_point():
                    out = torch.where(one.isnan(), torch.nan, out)
        return out

    def _product(self, func: Any, x: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        unknown = x.isnan()
        known = torch.where(unknown, 0, x)
        if id(weight) in self.layers:
            name, module = self.layers[id(weight)]
            self._note(name, module, x, args)
        reached = func(unknown.to(x), (weight != 0).to(x), None, *args, **kwargs) > 0
        return torch.where(reached, torch.nan, func(known, weight, bias, *args, **kwargs))

    def _note(self, name: str, module: nn.Module, x: Tensor, args: Any) -> None:
        flat = x[0].flatten(1) if isinstance(module, CONV) else x.reshape(-1, x.shape[-1]).T
        value = flat[:, 0]
        same = (flat == value[:, None]).all(1)  # False for NaN
        padded = isinstance(module, CONV) and any(p != 0 for p in _padding(args))
        new = Input(value, same & ((value == 0) | (not padded)))
        if (old := self.inputs.get(name)) is not None:  # a layer that is used twice
            new = Input(value, new.foldable & old.foldable & (old.value == value))
        self.inputs[name] = new


def _padding(args: Any) -> tuple[int, ...]:
    padding = args[1] if len(args) > 1 else 0
    return padding if isinstance(padding, tuple) else (padding,) if isinstance(padding, int) else (1,)  # a word, such as same


def _fold_(module: nn.Module, positions: Tensor, value: Tensor) -> None:
    """Move what a layer's constant inputs at ``positions`` add to its outputs into its bias, and read them no more."""
    where = channels.read(module, positions)
    constant = torch.zeros_like(value)
    constant[positions] = value[positions].nan_to_num()  # NaN where no weight reads
    shape = (1, -1, *module.weight.shape[2:])
    taken = torch.where(where, module.weight, 0)
    if isinstance(module, CONV):
        image = constant.view(1, -1, *[1] * (module.weight.ndim - 2)).expand(shape[0], len(constant), *module.weight.shape[2:])
        conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[module.weight.ndim]
        added = conv(image, taken, groups=module.groups).flatten()
    else:
        added = taken @ constant
    if added.any():
        bias = module.bias if module.bias is not None else torch.zeros_like(added)
        module.bias = nn.Parameter(bias + added, requires_grad=False)
    module.weight.copy_(torch.where(where, 0, module.weight))


def _write_zero_(module: nn.Module, positions: Tensor) -> None:
    for p in module.parameters(recurse=False):
        p[positions] = 0


def slice_network(net: nn.Module, groups: list[Group], keeps: list[Tensor]) -> nn.Module:
    """Return the network, changed in place, without the channels that ``keeps`` (bool, one a group) leaves out."""
    modules = dict(net.named_modules())
    out, read = ({name: torch.ones(n, dtype=torch.bool) for name, n in _sizes(modules, side)} for side in ("out", "in"))
    for group, keep in zip(groups, keeps, strict=True):
        for name, positions in channels.removed(group, keep, "out").items():
            out[name][positions] = False
        for name, positions in channels.removed(group, keep, "in").items():
            read[name][positions] = False
    for name, module in modules.items():
        if name in out and not (out[name].all() and read.get(name, out[name]).all()):
            _slice_(module, out[name], read.get(name))
    return net


def _sizes(modules: Mapping[str, nn.Module], side: str) -> list[tuple[str, int]]:
    sizes = []
    for name, m in modules.items():
        if isinstance(m, CONV):
            sizes.append((name, m.out_channels if side == "out" else m.in_channels))
        elif isinstance(m, nn.Linear):
            sizes.append((name, m.out_features if side == "out" else m.in_features))
        elif isinstance(m, BATCHNORM) and side == "out":
            sizes.append((name, m.num_features))
    return sizes


def _slice_(module: nn.Module, out: Tensor, read: Tensor | None) -> None:
    if isinstance(module, BATCHNORM):
        for name, t in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if t.ndim:
                setattr(module, name, nn.Parameter(t[out], requires_grad=False) if isinstance(t, nn.Parameter) else t[out])
        module.num_features = int(out.sum())
        return
    weight = module.weight[out]
    if isinstance(module, CONV) and module.groups == module.in_channels > 1:
        module.groups = module.in_channels = int(out.sum())  # depthwise: a channel is written and read at one place
    elif getattr(module, "groups", 1) > 1:
        weight = weight[:, read.view(module.groups, -1)[0]]  # the same offsets in each group
        module.in_channels = int(read.sum())
    else:
        weight = weight[:, read]
        setattr(module, "in_channels" if isinstance(module, CONV) else "in_features", int(read.sum()))
    setattr(module, "out_channels" if isinstance(module, CONV) else "out_features", int(out.sum()))
    module.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias[out], requires_grad=False)
