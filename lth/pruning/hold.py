"""Hold pruned weights at zero while an optimiser trains: one fused multiplication on gradients, one on weights."""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lth.pruning import masks as M


class Hold:
    """The pruned weights of a network, which are set to zero here; and which of its weights have had no gradient.

    Args:
        params: the network's parameters, by name.
        masks: those that keep everything cost nothing.
        watched: names of the parameters to watch for a gradient.
    """

    def __init__(self, params: Mapping[str, nn.Parameter], masks: M.Masks, watched: Collection[str] = ()) -> None:
        pruned = {name: mask for name, mask in masks.items() if not mask.all()}
        self.params = [params[name] for name in pruned]
        # Of the weights' own dtype and memory format: only then is the multiplication one fused pass.
        self.multipliers = [torch.empty_like(p.data).copy_(mask) for p, mask in zip(self.params, pruned.values())]
        self.without_gradient = {name: params[name] for name in watched}
        self._hooks: list[Any] = []
        M.multiply_(self.params, self.multipliers)

    def attach(self, optimizers: Iterable[Optimizer], *, manual: bool) -> None:
        """Mask weights after each step; with ``manual`` optimisation, gradients as soon as they are accumulated."""
        self._hooks = [optimizer.register_step_post_hook(self._after_step) for optimizer in optimizers]
        if manual:  # the module may clip before its optimiser's step begins
            held = [(p, m) for p, m in zip(self.params, self.multipliers) if p.requires_grad]
            self._hooks += [p.register_post_accumulate_grad_hook(partial(_mask_gradient, m)) for p, m in held]

    def detach(self) -> None:
        """Remove all hooks."""
        while self._hooks:
            self._hooks.pop().remove()

    def mask_gradients(self) -> None:
        """Set the gradients of pruned weights to zero, so that they enter neither the clipped norm nor the moments."""
        held = [(p.grad, m) for p, m in zip(self.params, self.multipliers) if p.grad is not None]
        M.multiply_([grad for grad, _ in held], [m for _, m in held])

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # No optimiser moves a frozen weight; which ones are frozen may change while the network trains.
        trained = [(p, m) for p, m in zip(self.params, self.multipliers) if p.requires_grad]
        M.multiply_([p for p, _ in trained], [m for _, m in trained])
        self.without_gradient = {name: p for name, p in self.without_gradient.items() if p.grad is None}


def _mask_gradient(multiplier: Tensor, parameter: nn.Parameter) -> None:
    M.multiply_([parameter.grad], [multiplier])
