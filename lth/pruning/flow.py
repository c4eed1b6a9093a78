"""The kept weights that matter at all: those on some path of kept weights from the input to the output."""

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lth.errors import LthError, notice_once
from lth.pruning.masks import Masks, dense, density, kept, mask_, size

NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "normalize"}
ACTIVATIONS = {
    "relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "hardswish",
    "hardtanh", "softplus", "softsign", "logsigmoid", "threshold", "dropout",
}  # fmt: skip
SUMS = {"add", "radd", "iadd", "sub", "rsub", "isub"}
JOINS = {"cat", "concat", "stack"}
# By network: shapes of inputs and names of weights for which each weight of the dense network is on a path; rounds ask again.
FOLLOWED: WeakKeyDictionary[nn.Module, set[tuple]] = WeakKeyDictionary()


class UnknownPathsError(LthError):
    """The paths of a network cannot be followed, so its effective density is not known."""


def effective_density(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> float | None:
    """Return the density over weights on some path from input to output; None, with a notice, where paths are not known."""
    try:
        return density(on_path(network, masks, input_shape))
    except UnknownPathsError as error:
        notice_once(f"the effective density of {type(network).__name__} is not known: {error}")
        return None


def on_path(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    """Return masks of the kept weights that lie on some path from input to output.

    A path goes from unit to unit (channels of a convolution, features of a linear layer), as in Vysogorets & Kempe 2023, and
    through attention by its queries and keys as well as by its values. A copy of the network gets the masks, random positive
    weights and inputs and no biases: no two paths cancel, so a weight is on a path exactly if it has a gradient.
    ``input_shape``: (channels, height, width).

    Raises UnknownPathsError where the network cannot be run so, or weights of the dense network are on no path.
    """
    full, known = dense(masks), FOLLOWED.setdefault(network, set())
    if (question := (input_shape, *masks)) not in known:
        of_dense = _with_gradient(network, full, input_shape)
        if lost := [name for name, mask in of_dense.items() if not mask.all()]:
            names = f"{', '.join(lost[:3])}{' and others' * (len(lost) > 3)}"
            count = size(full) - kept(of_dense)
            raise UnknownPathsError(f"no path runs through {count} weights of the dense network, in {names}.")
        known.add(question)
    return full if kept(masks) == size(masks) else _with_gradient(network, masks, input_shape)


@torch.enable_grad()
def _with_gradient(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    net = copy.deepcopy(network).cpu().double().eval()  # small weights times small weights: float32 would end at 0
    generator = torch.Generator().manual_seed(0)
    for name, p in net.named_parameters():
        draw = 0.5 + torch.rand(p.shape, generator=generator, dtype=torch.float64)
        p.data = torch.zeros_like(p) if "bias" in name.rpartition(".")[2] else draw / max(1, p[:1].numel())
    weights = mask_(net, {name: _of_units(mask) for name, mask in masks.items()})
    images = torch.rand(1, *input_shape, generator=generator, dtype=torch.float64).requires_grad_()
    try:
        with torch.random.fork_rng([]), Signals():
            out = net(images)
        grads = torch.autograd.grad(out.sum(), list(weights.values()), materialize_grads=True)
    except Exception as error:  # a user's network may raise anything
        raise UnknownPathsError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    return {name: mask & _of_units(grad != 0) for (name, mask), grad in zip(masks.items(), grads)}


def _of_units(found: Tensor) -> Tensor:
    """Return it for pairs of units: a kernel is True throughout where one element is, so padding ends no path."""
    if found.dim() <= 2:
        return found
    return found.flatten(2).any(2).reshape(*found.shape[:2], *[1] * (found.dim() - 2)).expand_as(found)


class Signals(TorchFunctionMode):
    """While it is entered, a unit (a channel, a feature) is 0 where no path from the input reaches it, and above 0 elsewhere.

    Activations pass a signal on and norms scale it to at most 1, so that nothing overflows or saturates. What does not depend
    on the input, such as an embedding of positions, is 0 where it is added or joined to a signal. A sigmoid is taken for a
    gate, which blocks nothing: 1/2 where no signal comes in.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = func.__name__.strip("_"), kwargs or {}
        if name in ACTIVATIONS | NORMS:
            signal = (args or tuple(kwargs.values()))[0]
            peak = signal.detach().amax()
            return signal / (peak + (peak == 0)) if name in NORMS else signal
        if name in SUMS:
            args = _without_constants(args)
        elif name in JOINS:
            args = (_without_constants(args[0]), *args[1:])
        return func(*args, **kwargs)


def _without_constants(parts: Any) -> Any:
    is_signal = [isinstance(part, Tensor) and part.requires_grad for part in parts]
    if not any(is_signal):
        return parts
    return [part if known or not isinstance(part, Tensor) else torch.zeros_like(part) for part, known in zip(parts, is_signal)]
