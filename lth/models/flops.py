"""Floating-point operations of each weight, counted with torch's own formulas while one image passes."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from typing_extensions import override

from lth.errors import notice_once
from lth.models.blocks import evaluating

KINDS = (nn.Linear, nn.modules.conv._ConvNd)
ATTENTION = "attention"  # the entry of products of two activations
aten = torch.ops.aten
MOVES = {aten.cat, aten.stack, aten.copy_, aten.index, aten.embedding, aten.repeat, aten.clone, aten._to_copy, aten.where}


def per_layer(net: nn.Module, image_size: int, channels: int = 3) -> dict[str, int]:
    """FLOPs (a multiplication and an addition are two) of a square image, by the name of the parameter that is multiplied.

    The products of two activations, as attention has them, are the entry ``attention``. Their sum is the total of torch's
    ``FlopCounterMode``: products alone, neither biases, norms and activation functions nor pooling. A convolutional or
    linear layer that does not run has 0, and so have weights whose products torch has no formula for; one sentence names them.
    """
    like = next(net.parameters())
    image = torch.zeros(1, channels, image_size, image_size, device=like.device, dtype=like.dtype)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operation, which nobody has a formula for
    try:
        with torch.no_grad(), evaluating(net), sdpa_kernel(SDPBackend.MATH), _Products(net) as found:
            net(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    if missed := {name: op for name, op in found.uncounted.items() if name not in found.flops}:
        operations = ", ".join(sorted(set(missed.values())))
        notice_once(f"the FLOPs of {', '.join(missed)} are not counted: torch has no formula for {operations}.")
    layers = {f"{name}.weight" for name, m in net.named_modules() if isinstance(m, KINDS)}
    names = [name for name, _ in net.named_parameters() if name in found.flops.keys() | missed.keys() | layers]
    return {name: found.flops[name] for name in [*names, *({ATTENTION} & found.flops.keys())]}


def remaining(dense: dict[str, int], density: dict[str, float]) -> float:
    """FLOPs that are left where each weight's are as its density; what has no mask, such as attention, keeps all of its own."""
    return sum(flops * density.get(name, 1.0) for name, flops in dense.items())


def sizes(parameters: int, masks: dict[str, Tensor], dense: dict[str, int]) -> dict[str, Any]:
    """Return the fields of a record on parameters and FLOPs: of the dense network, and what a perfectly sparse engine needs.

    Args:
        parameters: number of elements of the network's parameters, without its buffers.
        masks: by parameter name, bool, True = kept.
        dense: FLOPs of the dense network, see ``per_layer``.
    """
    kept = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
    weights = {name: mask.numel() for name, mask in masks.items()}
    total, left = sum(dense.values()), remaining(dense, {name: kept[name] / weights[name] for name in masks})
    return {
        "parameters": parameters,
        "model_density": (parameters - sum(weights.values()) + sum(kept.values())) / parameters,
        "flops": total,
        "flops_remaining": round(left),
        "speedup": total / left if left else None,
        "layer_flops": dense,
        "layer_weights": weights,
    }


class _Products(TorchDispatchMode):
    """Counts the FLOPs of every product of matrices under the parameter that it multiplies.

    A parameter is known by its memory, so through views and transposes, too; what is computed from parameters and buffers
    alone, as a normalised weight is, counts as the parameter of most weights among them.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.uncounted: dict[str, str] = {}  # parameter -> the operation that uses it without a formula
        self.held: list[Tensor] = []  # or their memory would be given to an activation
        self.sizes = {name: p.numel() for name, p in net.named_parameters() if p.dim() > 1}
        constants = [*net.named_buffers(), *net.named_parameters()]
        self.owners = {_memory(t): name if name in self.sizes else "" for name, t in constants}

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        owners = [self.owners.get(_memory(t)) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        name = max(filter(None, owners), key=self.sizes.__getitem__, default="")
        packet = func._overloadpacket
        if packet in flop_registry:
            self.flops[name or ATTENTION] += flop_registry[packet](*args, **(kwargs or {}), out_val=out)
        elif name and None not in owners:
            for t in tree_leaves(out):
                if isinstance(t, Tensor):
                    self.owners[_memory(t)] = name
                    self.held.append(t)
        elif name and torch.Tag.pointwise not in func.tags and packet not in MOVES:
            self.uncounted |= dict.fromkeys(filter(None, owners), str(packet))
        return out


def _memory(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()
