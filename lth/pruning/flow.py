"""The kept weights that matter at all: those on some path of kept weights from the input to the output."""

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lth.errors import LthError, notice_once
from lth.pruning.masks import Masks, dense, density, kept, mask_, size

NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "normalize"}
ACTIVATIONS = {
    "relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "hardswish",
    "hardtanh", "softplus", "softsign", "logsigmoid", "threshold", "dropout",
}  # fmt: skip
GATES = {"sigmoid", "hardsigmoid"}
SOFTMAX = {"softmax", "scaled_dot_product_attention", "multi_head_attention_forward"}
BENDS = {"clamp", "clip", "neg", "abs", "pow", "sqrt", "rsqrt", "exp", "log", "div", "truediv", "rtruediv"}
SUMS = {"add", "radd", "iadd", "sub", "rsub", "isub"}
FACTORS = {"mul", "rmul", "imul", "multiply"}
PRODUCTS = {"matmul", "rmatmul", "mm", "bmm", "einsum", "addmm", "baddbmm"}
JOINS = {"cat", "concat", "stack"}


class UnknownPathsError(LthError):
    """The paths of a network cannot be followed, so its effective density is not known."""


def effective_density(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> float | None:
    """Return the density over weights on some path from input to output; None, with a warning, where paths are not known."""
    try:
        return density(on_path(network, masks, input_shape))
    except UnknownPathsError as error:
        notice_once(str(error))
        return None


def on_path(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    """Return masks of the kept weights that lie on some path from input to output.

    A path goes from unit to unit (channels of a convolution, features of a linear layer), as in the effective sparsity of
    Vysogorets & Kempe 2023, and through attention by its queries and keys as well as by its values. A copy of the network gets
    its masks as weights, no biases and an input of ones, and passes on, as ``Paths``, whether there is a signal; so a
    weight's gradient is positive exactly if a path runs through it. ``input_shape``: (channels, height, width).

    Raises UnknownPathsError where the network cannot be run on ones, or weights of the dense network are on no path.
    """
    full = dense(masks)
    of_dense = _reached(network, full, input_shape)
    if lost := [name for name, mask in of_dense.items() if not mask.all()]:
        count, few = size(full) - kept(of_dense), f"{', '.join(lost[:3])}{' and others' * (len(lost) > 3)}"
        why = f"no path from input to output runs through {count} weights of the dense network, in {few}."
        raise UnknownPathsError(f"the effective density of {type(network).__name__} is not known: {why}")
    return of_dense if kept(masks) == size(masks) else _reached(network, masks, input_shape)


@torch.enable_grad()
def _reached(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    ones = copy.deepcopy(network).cpu().float().eval()
    for t in [*ones.parameters(), *ones.buffers()]:
        if t.is_floating_point():
            t.data = torch.ones_like(t)
    weights = list(mask_(ones, masks).values())
    try:
        with torch.random.fork_rng([]), Paths(ones):
            out = ones(torch.ones(1, *input_shape, requires_grad=True))
        grads = torch.autograd.grad(out.sum(), weights, materialize_grads=True)
    except Exception as error:  # a user's network may raise anything
        why = f"its paths cannot be followed, {type(error).__name__}: {' '.join(str(error).split())}"
        raise UnknownPathsError(f"the effective density of {type(network).__name__} is not known: {why}") from error
    return {name: mask & (grad > 0) for (name, mask), grad in zip(masks.items(), grads)}


class Paths(TorchFunctionMode):
    """Makes torch's functions pass on whether there is a signal: a unit (a channel, a feature) is above 0 where one reaches it.

    A layer's output and its gradient are set back to 0 or 1, the same at all positions of an image or a sequence; so padding
    ends no path. Norms and activation functions pass their input on. What does not depend on the input, such as a bias or an
    embedding of positions, is no signal where it is added or joined to one. A factor from a sigmoid scales and blocks nothing;
    nor do the weights of attention, which depend on each query and key. The network's parameters are 1 or, where pruned, 0.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.memory = {t.untyped_storage().data_ptr() for t in [*network.parameters(), *network.buffers()]}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", "").strip("_"), kwargs or {}
        signals = [a for a in (*args, *kwargs.values()) if self.is_signal(a)]
        if name.startswith("conv") and name.endswith("d"):
            return _convolution(func, *args, **kwargs)
        if name in LAYERS:
            return LAYERS[name](*args, **kwargs)
        if signals and name in FUNCTIONS:
            return FUNCTIONS[name](*args, **kwargs)
        if name in JOINS:
            parts = [t if self.is_signal(t) else torch.zeros_like(t) for t in args[0]]
            return func(parts if any(map(self.is_signal, args[0])) else args[0], *args[1:], **kwargs)
        if signals and name in SUMS | FACTORS:
            return self._combined(name, [a for a in args if isinstance(a, Tensor)])
        out = func(*args, **kwargs)
        if name in PRODUCTS and out.requires_grad:
            return reached(out)
        return _gate(out) if len(signals) == 1 and hasattr(signals[0], "is_gate") and isinstance(out, Tensor) else out

    def is_signal(self, t: Any) -> bool:
        """Return whether it depends on the input, or on weights that have masks, and is no parameter itself."""
        return isinstance(t, Tensor) and t.requires_grad and not self.is_parameter(t)

    def is_parameter(self, t: Tensor) -> bool:
        return t.untyped_storage().data_ptr() in self.memory

    def _combined(self, name: str, tensors: list[Tensor]) -> Tensor:
        """Return a sum or an elementwise product; what is no signal does not count, but for a parameter that is multiplied."""
        shape = torch.broadcast_shapes(*(t.shape for t in tensors))
        counted = [t for t in tensors if self.is_signal(t) or (name in FACTORS and self.is_parameter(t))]
        if len(counted) == 1:
            out = counted[0]
        elif name in SUMS:
            out = counted[0] + counted[1]
        else:
            out = reached(torch.mul(*(1 + t if hasattr(t, "is_gate") else t for t in counted)))
        return out if out.shape == shape else out.expand(shape)


class _Reached(torch.autograd.Function):
    """1 where ``x`` is above 0, and 0 elsewhere; so is its gradient. Over ``dims``, which get size 1, any 1 is enough."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...] = ()) -> Tensor:
        positive = x > 0
        ctx.save_for_backward(positive)
        return (positive.any(dims, keepdim=True) if dims else positive).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (positive,) = ctx.saved_tensors
        return ((grad > 0) & positive).to(grad.dtype), None


reached = _Reached.apply


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    units = reached(input, tuple(range(input.dim() - 1)))
    return reached(F.linear(units, weight)).expand(*input.shape[:-1], -1)


def _convolution(
    func: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Tensor:
    """Return a convolution of one position, with a kernel of one element, the sum of the kernel's."""
    empty = (torch.empty_like(t, device="meta") for t in (input, weight))
    shape, spatial = func(*empty, None, *args, **kwargs).shape, weight.dim() - 2
    one = F.conv_transpose1d if "transpose" in func.__name__ else F.conv1d
    units = reached(input, tuple(range(-spatial, 0))).flatten(-spatial)
    groups = args[3] if len(args) > 3 else kwargs.get("groups", 1)
    out = reached(one(units, weight.flatten(2).sum(2, keepdim=True), groups=groups))
    return out.reshape(*out.shape[:-1], *[1] * spatial).expand(shape)


def _softmax(input: Tensor, dim: int = -1, *args: Any, **kwargs: Any) -> Tensor:
    """Never 0, whatever the logits are, and dependent on all of them; those that are masked out are negative."""
    return 1 + input.clamp(min=0).mean(dim, keepdim=True).expand_as(input)


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return reached(_softmax(reached(query @ key.mT)) @ value)


def _multi_head(
    query: Tensor, key: Tensor, value: Tensor, size: int, heads: int, in_proj: Tensor | None, in_bias: Any, bias_k: Any,
    bias_v: Any, zeros: bool, dropout: float, out_proj: Tensor, *args: Any, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """``F.multi_head_attention_forward``: (length, ..., size) -> (length, ..., size) and no weights of attention."""
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    weights = [kwargs[name] for name in names] if in_proj is None else in_proj.chunk(3)
    parts = [_linear(x, w).unflatten(-1, (heads, -1)).movedim(0, -2) for x, w in zip((query, key, value), weights)]
    return _linear(_attention(*parts).movedim(-2, 0).flatten(-2), out_proj), None


def _gate(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    out = x.view_as(x)
    out.is_gate = True
    return out


LAYERS = {"linear": _linear, "multi_head_attention_forward": _multi_head}
FUNCTIONS: dict[str, Callable[..., Any]] = {  # where a signal goes in
    **dict.fromkeys(NORMS | ACTIVATIONS | BENDS, lambda input, *args, **kwargs: input),
    **dict.fromkeys(GATES, _gate),
    "softmax": _softmax,
    "scaled_dot_product_attention": _attention,
}
