"""What a person sees while a round trains: one live line in a terminal, one plain line an epoch elsewhere."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

from lth.tracking.remaining import Outlook

REFRESH = 0.3  # seconds; reading the loss waits for the device, so not at each step


class Progress(pl.Callback):
    """A bar over all rounds of an experiment: ``round k/n``, weights remaining, epoch, time left, validation accuracy, loss.

    Args:
        title: what stands in front, such as ``round 2/5, 64.0% of weights``.
        outlook: how much of the experiment is done.
        first: epochs of the schedule that lie before this training.
    """

    def __init__(self, title: str, outlook: Outlook, first: int = 0) -> None:
        self.title, self.outlook, self.first = title, outlook, first
        self.live = sys.stderr.isatty()
        self.bar: tqdm | None = None
        self._shown = 0.0

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.outlook.start()
        if trainer.is_global_zero and self.live:
            form = "{desc} |{bar:12}|{percentage:3.0f}%{postfix}"
            self.bar = tqdm(
                total=self.outlook.total, initial=self.outlook.done, desc=self._where(trainer), bar_format=form, leave=False,
                dynamic_ncols=True,
            )  # fmt: skip

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None or time.monotonic() - self._shown < REFRESH:
            return
        self._shown = time.monotonic()
        here = self.first + trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        loss: Tensor = outputs["loss"]
        left = tqdm.format_interval(self.outlook.left(here))
        self.bar.n = min(self.outlook.done + here, self.outlook.total)
        self.bar.set_description_str(self._where(trainer), refresh=False)
        self.bar.set_postfix_str(f"{left} left{self._accuracy(trainer)}, loss {loss.item():.3f}", refresh=False)
        self.bar.refresh()

    def _where(self, trainer: pl.Trainer) -> str:
        return f"{self.title}, epoch {self.first + trainer.current_epoch + 1}/{self.first + trainer.max_epochs}"

    @staticmethod
    def _accuracy(trainer: pl.Trainer) -> str:
        value = trainer.callback_metrics.get("val/acc")
        return "" if value is None else f", val acc {float(value):.3f}"

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and not self.live:
            loss = trainer.callback_metrics.get("val/loss")
            told = "" if loss is None else f": val loss {float(loss):.3f}{self._accuracy(trainer)}"
            print(f"{self._where(trainer)}{told}", file=sys.stderr, flush=True)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
