"""Floating-point operations of each weight, counted with torch's own formulas in the forward of one image."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from lth.errors import notice_once
from lth.models.blocks import evaluating

KINDS = (nn.Linear, nn.modules.conv._ConvNd)
ATTENTION = "attention"  # the entry of products of two activations


def per_layer(net: nn.Module, image_size: int, channels: int = 3) -> dict[str, int]:
    """Return FLOPs (a multiplication and an addition are two) of a square image, by the name of the multiplied parameter.

    Products of two activations are the entry ``attention``. The sum is the total of torch's ``FlopCounterMode``: products
    alone, without biases, norms, activation functions and pooling. A convolutional or linear layer that does not run has 0.
    """
    image = next(net.parameters()).new_zeros(1, channels, image_size, image_size)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operation, which torch has no formula for
    try:
        with torch.no_grad(), evaluating(net), sdpa_kernel(SDPBackend.MATH), _Products(net) as products:
            net(image)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    modules = list(net.named_modules())
    if recurrent := [name for name, module in modules if isinstance(module, nn.RNNBase)]:
        notice_once(f"the FLOPs of {', '.join(recurrent)} are not counted: torch has no formula for them.")
    counted = {f"{name}.weight": 0 for name, module in modules if isinstance(module, KINDS)} | products.flops
    names = [*(name for name, _ in net.named_parameters()), ATTENTION]
    return {name: counted[name] for name in names if name in counted}


def remaining(dense: dict[str, int], masks: dict[str, Tensor]) -> float:
    """Return the FLOPs that are left at each weight's density; entries without a mask count fully."""
    density = {name: int(mask.count_nonzero()) / mask.numel() for name, mask in masks.items()}
    return sum(flops * density.get(name, 1.0) for name, flops in dense.items())


def sizes(parameters: int, masks: dict[str, Tensor], dense: dict[str, int]) -> dict[str, Any]:
    """Return the fields of a record on parameters and FLOPs, dense and in a perfectly sparse engine.

    ``dense``: see ``per_layer``; entries without a mask count fully.
    """
    kept = {name: int(mask.count_nonzero()) for name, mask in masks.items()}
    weights = {name: mask.numel() for name, mask in masks.items()}
    total, left = sum(dense.values()), remaining(dense, masks)
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
    """Counts the FLOPs of every product of matrices under the name of the parameter that it multiplies.

    A parameter is recognised by its memory, so also through views. A tensor that is computed from parameters and buffers
    alone, such as a normalised weight, counts as the largest of these parameters.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.held: list[Tensor] = []  # so that activations do not reuse their memory
        self.sizes = {name: p.numel() for name, p in net.named_parameters() if p.dim() > 1}
        constants = [*net.named_buffers(), *net.named_parameters()]
        self.owners = {_memory(t): name if name in self.sizes else "" for name, t in constants}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        owners = [self.owners.get(_memory(t)) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        name = max(filter(None, owners), key=self.sizes.__getitem__, default="")
        if formula := flop_registry.get(func._overloadpacket):
            self.flops[name or ATTENTION] += formula(*args, **(kwargs or {}), out_val=out)
        elif name and None not in owners:
            results = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
            self.owners |= {_memory(t): name for t in results}
            self.held += results
        return out


def _memory(t: Tensor) -> int:
    return t.untyped_storage().data_ptr()
