"""Prunes a network step by step while it trains."""

from typing import Any

import pytorch_lightning as pl
from typing_extensions import override

from lth.config import Prune
from lth.invariants import checks
from lth.pruning import allocation, criteria, gradual
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket


class Gradual(pl.Callback):
    """Prunes the smallest weights that are left, by the schedule of ``pruning.gradual``, and hands the masks to the ticket.

    What it does depends on the iteration and the ticket's masks alone, so a resumed round goes on to the same bits. Stands
    before the callbacks that look at the state or save it.

    Args:
        ticket: the callback that holds the masks, dense ones at first.
        prune: the prune step.
        final: number of weights that are kept in the end.
        iterations: of the whole training; None: the Trainer tells, which it cannot where a round goes on in mid-epoch.

    Raises:
        UsageError: training is shorter than the time between two prunings.
        InvariantError: masks do not have the scheduled count, or regrow a weight.
    """

    def __init__(self, ticket: LotteryTicket, prune: Prune, final: allocation.Keep, iterations: int | None) -> None:
        self.ticket, self.prune, self.final, self.iterations = ticket, prune, final, iterations

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.schedule = gradual.schedule(self.prune, self.iterations or int(trainer.estimated_stepping_batches))
        self.dense = gradual.dense(self.ticket.masks, self.final)

    @override
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        before, keep = self.ticket.masks, self.schedule.keep(self.dense, self.final, trainer.global_step)
        if allocation.total(keep) == M.kept(before):
            return
        network = self.ticket.network(pl_module)
        scores = criteria.magnitude({name: network.get_parameter(name) for name in before}, before)
        masks = M.keep_top(scores, before, keep)
        checks.require({"exact_count": checks.exact_count(masks, keep), "nested": checks.nested(masks, before)})
        self.ticket.prune(trainer, pl_module, masks)
