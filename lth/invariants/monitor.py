"""Applies the invariants while a round trains."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from typing_extensions import override

from lth.invariants import checks
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.tree.checkpoint import moments


class Monitor(pl.Callback):
    """Checks the state that training starts from, after each epoch that pruned weights are 0, and the masks of all ranks.

    Stands after the callbacks that set the state.

    Args:
        ticket: the callback that holds the masks.
        state, moments: the network's tensors, and the optimisers' state, that training is to start from.
        lr: the learning rate that it is to start with; None: any.
    """

    def __init__(self, ticket: LotteryTicket, state: checks.State, moments: checks.State, lr: float | None) -> None:
        self.ticket, self.state, self.moments, self.lr = ticket, state, moments, lr
        self.start: checks.Entry = {}
        self.ranks: checks.Entry = {}
        self.revived: list[int] = []
        self.trained: set[str] = set()

    def observed(self) -> dict[str, Any]:
        """Return what ``checks.of_round`` needs, and ``resume`` in the next process of an interrupted round."""
        return {"start": self.start, "ranks": self.ranks, "revived": self.revived}

    def resume(self, observed: dict[str, Any]) -> None:
        """Take over what was observed before an interruption."""
        self.start, self.revived = observed["start"], list(observed["revived"])

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = self.ticket.network(pl_module)
        state = {name: t for name, t in network.state_dict().items() if isinstance(t, Tensor)}
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        entry = checks.start(state, self.state, moments(trainer.optimizers, network), self.moments, lr, self.lr)
        self.start = self.start if self.start and entry["holds"] else entry
        self.trained = {name for name, p in network.named_parameters() if p.requires_grad}  # the others are compared in the end

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        masks = {name: mask for name, mask in self.ticket.masks.items() if name in self.trained and not mask.all()}
        self.revived.append(M.revived(self.ticket.network(pl_module).state_dict(), masks))

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        masks = self.ticket.masks
        mine = M.hash_masks(masks)
        same = trainer.strategy.reduce_boolean_decision(mine == trainer.strategy.broadcast(mine))
        self.ranks = checks.ranks(masks, bool(same), trainer.world_size)
