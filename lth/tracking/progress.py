"""Progress while a round trains: one live line in a terminal, one plain line an epoch elsewhere."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm
from typing_extensions import override

from lth.tracking.remaining import Remaining

FORM = "{desc} |{bar:12}|{percentage:3.0f}%, {remaining} left"


class Progress(pl.Callback):
    """A bar over all rounds of an experiment: round, weights remaining, epoch, last validation, time remaining.

    Args:
        title: what stands in front, such as ``round 2/5, 64.0% of weights``.
        remaining: how much of the experiment is done.
        score: the logged metric that is shown beside the validation loss.
    """

    def __init__(self, title: str, remaining: Remaining, score: str = "val/acc") -> None:
        self.title, self.remaining, self.score = title, remaining, score
        self.bar: tqdm | None = None

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.remaining.started = self.remaining.started or time.time()
        if trainer.is_global_zero and sys.stderr.isatty():
            self.bar = tqdm(total=self.remaining.total, bar_format=FORM, leave=False, dynamic_ncols=True, miniters=0, smoothing=0)
            self.bar.n = self.remaining.done + trainer.current_epoch
            self.bar.start_t = self.remaining.started  # so that the time remaining is that of all rounds

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.bar is not None:
            self.bar.set_description_str(self._line(trainer))

    @override
    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.bar is not None:
            self.bar.update(1 / trainer.num_training_batches)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.bar is None:
            print(self._line(trainer), file=sys.stderr, flush=True)

    def _line(self, trainer: pl.Trainer) -> str:
        logged = trainer.callback_metrics
        scores = [f"{name.replace('/', ' ')} {float(logged[name]):.3f}" for name in ("val/loss", self.score) if name in logged]
        epoch = f"{self.title}, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        return f"{epoch}: {', '.join(scores)}" if scores else epoch

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
