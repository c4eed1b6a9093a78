"""Torch's functions as they pass on whether there is a signal at all, so that nothing can cancel, saturate or vanish."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from typing_extensions import override

NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm", "normalize"}
ACTIVATIONS = {
    "relu", "relu6", "leaky_relu", "rrelu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "tanh", "hardswish",
    "hardtanh", "softplus", "softsign", "logsigmoid", "threshold",
}  # fmt: skip
BENDS = {"clamp", "clip", "neg", "abs", "pow", "sqrt", "rsqrt", "exp", "log", "div", "truediv", "rtruediv", "dropout"}
GATES = {"sigmoid", "hardsigmoid"}
SUMS = {"add", "radd", "iadd", "sub", "rsub", "isub"}
FACTORS = {"mul", "rmul", "imul", "multiply"}
PRODUCTS = {"matmul", "rmatmul", "mm", "bmm", "einsum", "addmm", "baddbmm"}
JOINS = {"cat", "concat", "stack"}


class Paths(TorchFunctionMode):
    """While it is entered, a unit (a channel, a feature) is above 0 where a signal reaches it, and 0 elsewhere.

    A layer's output and its gradient are set back to 0 or 1, the same at all positions of an image or a sequence; so padding
    ends no path. Norms and activation functions pass their input on. What does not depend on the input, such as a bias or an
    embedding of positions, is no signal where it is added or joined to one. A factor from a sigmoid scales and blocks nothing;
    nor do the weights of attention, which depend on each query and key.

    Args:
        network: its parameters are 1 or, where pruned, 0.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.own = {_memory(t) for t in [*network.parameters(), *network.buffers()]}
        self.functions: dict[str, Callable[..., Any]] = {
            **dict.fromkeys(NORMS | ACTIVATIONS | BENDS, lambda input, *args, **kwargs: input),
            **dict.fromkeys(GATES, lambda input, *args, **kwargs: _gate(input)),
            "softmax": _softmax,
            "scaled_dot_product_attention": _attention,
        }

    @override
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = getattr(func, "__name__", "").strip("_"), kwargs or {}
        if name == "linear":
            return _linear(*args, **kwargs)
        if name.startswith("conv") and name.endswith("d"):
            return _convolution(func, *args, **kwargs)
        if name == "multi_head_attention_forward":
            return _multi_head(*args, **kwargs)
        if name in JOINS:
            parts = [t if self.signal(t) else torch.zeros_like(t) for t in args[0]]
            return func(parts if any(map(self.signal, args[0])) else args[0], *args[1:], **kwargs)
        signals = [a for a in (*args, *kwargs.values()) if self.signal(a)]
        if signals and name in self.functions:
            return self.functions[name](*args, **kwargs)
        if signals and name in SUMS | FACTORS:
            return self._combined(name, args, signals)
        out = func(*args, **kwargs)
        if name in PRODUCTS and out.requires_grad:
            return alive(out)
        return _gate(out) if len(signals) == 1 and _is_gate(signals[0]) and isinstance(out, Tensor) else out

    def signal(self, t: Any) -> bool:
        """Whether it depends on the input, or on weights that have masks, and is no parameter itself."""
        return isinstance(t, Tensor) and t.requires_grad and _memory(t) not in self.own

    def _combined(self, name: str, args: Any, signals: list[Tensor]) -> Tensor:
        """A sum or an elementwise product; what is no signal does not count, but for a parameter that is multiplied."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        shape = torch.broadcast_shapes(*(t.shape for t in tensors))
        counted = [t for t in tensors if self.signal(t) or (name in FACTORS and _memory(t) in self.own)]
        if len(counted) == 1:
            out = counted[0]
        elif name in SUMS:
            out = counted[0] + counted[1]
        else:
            out = alive(torch.mul(*(1 + t if _is_gate(t) else t for t in counted)))
        return out if out.shape == shape else out.expand(shape)


class _Alive(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        there = x > 0
        ctx.save_for_backward(there)
        return (there.any(dims, keepdim=True) if dims else there).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (there,) = ctx.saved_tensors
        return ((grad > 0) & there).to(grad.dtype), None


def alive(x: Tensor, dims: tuple[int, ...] = ()) -> Tensor:
    """1 where ``x`` is above 0, and 0 elsewhere; so is its gradient. ``dims``: over which any 1 is enough; kept, of size 1."""
    return _Alive.apply(x, dims)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    reached = alive(input, tuple(range(input.dim() - 1)))
    return alive(F.linear(reached, weight)).expand(*input.shape[:-1], -1)


def _convolution(
    func: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Tensor:
    """Of one position, with a kernel of one element, which is the sum over the kernel's."""
    empty = (torch.empty_like(t, device="meta") for t in (input, weight))
    shape, spatial = func(*empty, None, *args, **kwargs).shape, weight.dim() - 2
    one = F.conv_transpose1d if "transpose" in func.__name__ else F.conv1d
    reached = alive(input, tuple(range(-spatial, 0))).flatten(-spatial)
    groups = args[3] if len(args) > 3 else kwargs.get("groups", 1)
    out = alive(one(reached, weight.flatten(2).sum(2, keepdim=True), groups=groups))
    return out.reshape(*out.shape[:-1], *[1] * spatial).expand(shape)


def _softmax(input: Tensor, dim: int = -1, *args: Any, **kwargs: Any) -> Tensor:
    """Never 0, whatever the logits are, and dependent on all of them; those that are masked out are negative."""
    return 1 + input.clamp(min=0).mean(dim, keepdim=True).expand_as(input)


def _attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return alive(_softmax(alive(query @ key.mT)) @ value)


def _multi_head(
    query: Tensor, key: Tensor, value: Tensor, size: int, heads: int, in_proj: Tensor | None, in_bias: Any, bias_k: Any,
    bias_v: Any, zeros: bool, dropout: float, out_proj: Tensor, *args: Any, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """``F.multi_head_attention_forward``: (length, ..., size) -> (length, ..., size) and no weights of attention."""
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    weights = [kwargs[name] for name in names] if in_proj is None else in_proj.chunk(3)
    parts = [_linear(x, w).unflatten(-1, (heads, -1)).movedim(0, -2) for x, w in zip((query, key, value), weights)]
    return _linear(_attention(*parts).movedim(-2, 0).flatten(-2), out_proj), None


def _gate(x: Tensor) -> Tensor:
    out = x.view_as(x)
    out.is_gate = True
    return out


def _is_gate(x: Tensor) -> bool:
    return getattr(x, "is_gate", False)


def _memory(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()
