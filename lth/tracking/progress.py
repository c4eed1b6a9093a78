"""Progress while a round trains: one live line in a terminal, one plain line an epoch elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm
from typing_extensions import override

from lth.tracking.remaining import Remaining

FORM = "{desc} |{bar:12}|{percentage:3.0f}%, {remaining} left{postfix}"
REFRESH = 0.3  # seconds; not at each step, because reading the loss waits for the device


class Progress(pl.Callback):
    """A bar over all rounds of an experiment: round, weights remaining, epoch, time remaining, score, loss.

    Args:
        title: what stands in front, such as ``round 2/5, 64.0% of weights``.
        remaining: how much of the experiment is done.
        score: the logged metric that is shown beside the loss.
    """

    def __init__(self, title: str, remaining: Remaining, score: str = "val/acc") -> None:
        self.title, self.remaining, self.score = title, remaining, score
        self.bar: tqdm | None = None

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.remaining.started = self.remaining.started or time.time()
        if trainer.is_global_zero and sys.stderr.isatty():
            self.bar = tqdm(
                desc=self._where(trainer), total=self.remaining.total, bar_format=FORM, leave=False, dynamic_ncols=True,
                miniters=0, mininterval=REFRESH, smoothing=0,
            )  # fmt: skip
            self.bar.n = self.remaining.done + trainer.current_epoch
            self.bar.start_t = self.remaining.started  # so that the time remaining is that of all rounds

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is not None and self.bar.update(1 / trainer.num_training_batches):
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs  # None where the module optimises by itself
            self.bar.set_description_str(self._where(trainer), refresh=False)
            self.bar.set_postfix_str(self._metrics(trainer, loss=loss))

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.bar is None:
            metrics = self._metrics(trainer, **{"val loss": trainer.callback_metrics.get("val/loss")})
            print(f"{self._where(trainer)}{metrics and f': {metrics}'}", file=sys.stderr, flush=True)

    def _where(self, trainer: pl.Trainer) -> str:
        return f"{self.title}, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"

    def _metrics(self, trainer: pl.Trainer, **losses: Any) -> str:
        metrics = losses | {self.score.replace("/", " "): trainer.callback_metrics.get(self.score)}
        return ", ".join(f"{name} {float(value):.3f}" for name, value in metrics.items() if value is not None)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
