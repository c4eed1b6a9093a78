"""LotteryTicket: the Lightning callback that rewinds, and keeps pruned weights at zero."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lth.errors import ProofError
from lth.pruning import masks as M
from lth.pruning.criteria import magnitude


class LotteryTicket(pl.Callback):
    """Iterative magnitude pruning with rewinding (Frankle & Carbin 2019), one ``trainer.fit`` a round.

    The first fit is round 0: the callback saves the init and trains the dense network. When a fit ends, the masks of
    the next round are computed from the trained weights; when the next one starts, all weights and buffers go back to
    the saved init and pruned weights to zero. Use a new ``Trainer`` for each round: it brings a fresh optimiser,
    schedule and counters. A fit that is given ``ckpt_path`` resumes its round instead, masks included.

    Modules stay as they are: no reparametrisation, stock state_dict keys. Gradients are masked before clipping and
    weights after the optimiser's step, so the gradient norm, the moments and the weights are those of the
    subnetwork, whatever the optimiser, its momentum and its weight decay.

    Args:
        rate: fraction of the remaining weights pruned after a round, above 0 and below 1; ``None``: prune nothing.
        head: whether the last prunable weight, the classifier's, is pruned too.
        target: name of the submodule to prune; empty: the whole LightningModule. Mask names are relative to it.
        masks, init: start from this ticket instead of from a dense round 0; together or not at all. ``init`` is a
            state_dict of the target, or the part of it that is to be rewound.

    Raises:
        ValueError: ``rate`` is out of range, or only one of ``masks`` and ``init`` is given.
        ProofError: nothing is prunable, or the ranks of a distributed run hold different masks.

    Example::

        ticket = LotteryTicket(rate=0.2)
        for _ in range(6):
            Trainer(max_epochs=5, callbacks=[ticket]).fit(model, data)
            print(ticket.round, ticket.density)
    """

    def __init__(
        self,
        rate: float | None = 0.2,
        *,
        head: bool = True,
        target: str = "",
        masks: M.Masks | None = None,
        init: dict[str, Tensor] | None = None,
    ) -> None:
        if rate is not None and not 0 < rate < 1:
            raise ValueError(f"rate={rate} is not accepted: it takes a fraction above 0 and below 1, or None.")
        if (masks is None) != (init is None):
            raise ValueError("masks and init go together: a ticket is masks and the weights it starts from.")
        self.rate, self.head, self.target = rate, head, target
        self.masks = masks
        self.init = init
        self.round = 0
        self._next: M.Masks | None = None
        self._params: list[nn.Parameter] = []
        self._multipliers: list[Tensor] = []
        self._hooks: list[Any] = []

    @property
    def density(self) -> float:
        """kept / prunable of the round that is trained or was trained last, in (0, 1]."""
        return M.density(self.masks) if self.masks else 1.0

    def network(self, pl_module: nn.Module) -> nn.Module:
        """The module that is pruned."""
        return pl_module.get_submodule(self.target)

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = self.network(pl_module)
        if trainer.ckpt_path is None:
            self._enter_round(network)
        elif self.masks is None:
            raise ProofError("the checkpoint that is resumed holds no masks; it was not written with LotteryTicket.")
        self._same_on_all_ranks(trainer)
        params = dict(network.named_parameters())
        pruned = {name: mask for name, mask in self.masks.items() if not mask.all()}
        self._params = [params[name] for name in pruned]
        # Of the weights' own dtype and memory format: only then is the multiplication one fused pass.
        self._multipliers = [torch.empty_like(p.data).copy_(mask) for p, mask in zip(self._params, pruned.values())]
        M.multiply_(self._params, self._multipliers)

    def _enter_round(self, network: nn.Module) -> None:
        if self.init is None:
            self.init = {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}
            params = dict(network.named_parameters())
            self.masks = M.dense({name: params[name] for name in M.prunable(network, head=self.head)})
            if not self.masks:
                raise ProofError("nothing is prunable: the network has no trained Conv or Linear weight in the scope.")
            return
        if self._next is not None:
            self.masks, self._next, self.round = self._next, None, self.round + 1
        M.rewind_(network, self.init, self.masks)

    def _same_on_all_ranks(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:
            mine = M.digest(self.masks)
            first = trainer.strategy.broadcast(mine)
            if mine != first:
                raise ProofError(f"rank {trainer.global_rank} holds masks {mine[:12]}, rank 0 holds {first[:12]}.")

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._hooks = [o.register_step_post_hook(self._after_step) for o in trainer.optimizers]

    @override
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        held = [i for i, p in enumerate(self._params) if p.grad is not None]
        M.multiply_([self._params[i].grad for i in held], [self._multipliers[i] for i in held])

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        # No optimiser moves a frozen weight; which ones are frozen may change while the network trains.
        trained = [i for i, p in enumerate(self._params) if p.requires_grad]
        M.multiply_([self._params[i] for i in trained], [self._multipliers[i] for i in trained])

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.on_train_end(trainer, pl_module)

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rate is not None:
            weights = dict(self.network(pl_module).named_parameters())
            keep = M.kept_after(M.kept(self.masks), self.rate)
            self._next = M.keep_top(magnitude(weights, self.masks), self.masks, keep)

    @override
    def state_dict(self) -> dict[str, Any]:
        """Round, masks at one bit a weight with their hash, and the init: all that a resumed fit needs."""
        masks = self.masks or {}
        return {
            "round": self.round,
            "masks": {name: M.pack(mask) for name, mask in masks.items()},
            "shapes": {name: list(mask.shape) for name, mask in masks.items()},
            "digest": M.digest(masks),
            "init": self.init or {},
        }

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave. Raises ProofError where the masks are not the ones that were saved."""
        masks = {name: M.unpack(bits, state_dict["shapes"][name]) for name, bits in state_dict["masks"].items()}
        if M.digest(masks) != state_dict["digest"]:
            raise ProofError("the masks in the checkpoint do not match their hash; the file is damaged.")
        self.round, self.masks, self.init, self._next = state_dict["round"], masks, state_dict["init"], None
