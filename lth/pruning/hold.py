"""Hold pruned weights at zero while an optimiser trains: one fused multiplication on gradients, one on weights."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lth.pruning import masks as M


class Hold:
    """The pruned weights of a network, set to zero here; and ``without_gradient``, the ``watched`` weights that have had none."""

    def __init__(self, params: Mapping[str, nn.Parameter], masks: M.Masks, watched: Collection[str] = ()) -> None:
        pruned = [(params[name], mask) for name, mask in masks.items() if not mask.all()]  # the others cost nothing
        # Of the weights' own dtype and memory format: only then is the multiplication one fused pass.
        self.pairs = [(p, torch.empty_like(p.data).copy_(mask)) for p, mask in pruned]
        self.without_gradient = {name: params[name] for name in watched}
        self._hooks: list[Any] = []
        M.multiply_(self.pairs)

    def attach(self, optimizers: Iterable[Optimizer], *, manual: bool) -> None:
        """Mask weights after each step; with ``manual`` optimisation, gradients as soon as they are accumulated."""
        self.detach()  # what a learning rate finder attached
        self._hooks = [optimizer.register_step_post_hook(self._after_step) for optimizer in optimizers]
        if manual:  # the module may clip before its optimiser's step begins
            hooks = [(p, lambda p, m=m: M.multiply_([(p.grad, m)])) for p, m in self.pairs if p.requires_grad]
            self._hooks += [p.register_post_accumulate_grad_hook(hook) for p, hook in hooks]

    def detach(self) -> None:
        """Remove all hooks."""
        while self._hooks:
            self._hooks.pop().remove()

    def mask_gradients(self) -> None:
        """Set the gradients of pruned weights to zero, so that they enter neither the clipped norm nor the moments."""
        M.multiply_([(p.grad, m) for p, m in self.pairs if p.grad is not None])

    def _after_step(self, *args: Any) -> None:
        M.multiply_([(p, m) for p, m in self.pairs if p.requires_grad])  # no optimiser moves a weight that is frozen now
        self.without_gradient = {name: p for name, p in self.without_gradient.items() if p.grad is None}
