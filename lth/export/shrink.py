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
from lth.pruning.channels import Group, Keep
from lth.pruning.coupling import coupled
from lth.pruning.slicing import CONV, take


@dataclass(frozen=True)
class Shrunk:
    """A smaller network with the same outputs.

    ``removed``: module -> number of its outputs that were removed; ``left``: group's first module, or ``network`` -> why nothing
    could be removed there.
    """

    network: nn.Module
    removed: dict[str, int] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)


def shrink(net: nn.Module, images: Tensor, multiple: int = 1) -> Shrunk:
    """Return a copy of a network without its dead channels; outputs differ by rounding alone.

    A channel is dead if every weight that reads it is zero, or if it has one value whatever the input and that value can be
    moved into the biases of the layers that read it: always for 0 and for linear layers, else where nothing is padded.

    Args:
        net: images (n, c, h, w) -> logits, in eval mode; it is not changed.
        images: one or more of the size that it is to serve.
        multiple: numbers of channels are rounded up to a multiple of it, where there are so many, by dead ones that stay:
            kernels that compute with vectors of that length are slow on other numbers.
    """
    net = copy.deepcopy(net).eval().requires_grad_(False)
    try:
        groups, left = coupled(net, images)
    except DataError as error:
        if isinstance(error.__cause__, ImportError):
            raise
        return Shrunk(net, left={"network": str(error)})
    keep = [torch.ones(group.channels, dtype=torch.bool) for group in groups]
    with torch.no_grad():
        while _silence(net, groups, keep, images):
            pass
    for one in keep:
        one[(~one).nonzero().flatten()[: -int(one.sum()) % multiple]] = True
    before = {name: _outputs(m) for name, m in net.named_modules() if isinstance(m, (CONV, nn.Linear))}
    small = take(net, groups, keep)
    removed = {n: count - _outputs(small.get_submodule(n)) for n, count in before.items()}
    return Shrunk(small, {n: count for n, count in removed.items() if count}, left)


def _outputs(module: nn.Module) -> int:
    return module.out_channels if isinstance(module, CONV) else module.out_features


def _silence(net: nn.Module, groups: list[Group], keep: Keep, images: Tensor) -> bool:
    """Fold and zero what reads and writes dead channels; clear them in ``keep``; return whether there were new ones."""
    modules, reaching, new = dict(net.named_modules()), inputs(net, images), False
    for group, one in zip(groups, keep, strict=True):
        alive = torch.zeros(group.channels)
        for part in group.slices:
            if part.side == "in":
                reads = channels.over_columns(modules[part.module].weight != 0, part.size)
                alive += group.gather(part, reads * ~reaching[part.module].foldable)
        dead = one & (alive == 0)
        if dead.sum() == one.sum():  # one stays: torch has no empty convolutions
            dead[one.nonzero()[0]] = False
        if not dead.any():
            continue
        new = True
        one &= ~dead
        for part in group.slices:
            module, gone = modules[part.module], group.spread(part, dead, False)
            if part.side == "in":
                _fold_(module, gone, reaching[part.module].value)
            else:
                for p in module.parameters(recurse=False):
                    p[gone] = 0
    return new


@dataclass(frozen=True)
class Input:
    """What reaches a layer, whatever the images: ``value`` (inputs), and ``foldable`` (inputs), whether it is constant."""

    value: Tensor
    foldable: Tensor


def inputs(net: nn.Module, images: Tensor) -> dict[str, Input]:
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


def _fold_(module: nn.Module, gone: Tensor, value: Tensor) -> None:
    """Move what a layer's constant inputs, where ``gone`` (inputs), add to its outputs into its bias, and read them no more."""
    where = channels.columns(module.weight.shape, gone)
    constant = torch.where(gone, value.nan_to_num(), 0)  # NaN where no weight reads
    taken = torch.where(where, module.weight, 0)
    if isinstance(module, CONV):
        conv = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[taken.ndim]
        image = constant.view(1, -1, *[1] * (taken.ndim - 2)).expand(1, -1, *taken.shape[2:])
        added = conv(image, taken, groups=module.groups).flatten()
    else:
        added = taken @ constant
    if added.any():
        bias = module.bias if module.bias is not None else torch.zeros_like(added)
        module.bias = nn.Parameter(bias + added, requires_grad=False)
    module.weight.copy_(torch.where(where, 0, module.weight))
