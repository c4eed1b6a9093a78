"""What a person sees while a round trains: one live line in a terminal, one plain line an epoch elsewhere."""

import sys
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

REFRESH = 0.3  # seconds; reading the loss waits for the device, so not at each step


class Progress(pl.Callback):
    """A bar over the steps of a round: ``round k/n``, weights remaining, epoch, loss, validation accuracy, time left.

    Args:
        title: what stands in front, such as ``round 2/5, 64.0% of weights``.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.live = sys.stderr.isatty()
        self.bar: tqdm | None = None
        self._shown = 0.0

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.live:
            form = "{desc} |{bar:20}| {percentage:3.0f}% {elapsed}<{remaining}{postfix}"
            self.bar = tqdm(
                total=int(trainer.estimated_stepping_batches), desc=self.title, bar_format=form, leave=False, dynamic_ncols=True
            )

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None or time.monotonic() - self._shown < REFRESH:
            return
        self._shown = time.monotonic()
        loss: Tensor = outputs["loss"]
        self.bar.set_description_str(f"{self.title}, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", refresh=False)
        self.bar.set_postfix_str(f"loss {loss.item():.3f}{self._accuracy(trainer)}", refresh=False)
        self.bar.update(trainer.global_step - self.bar.n)

    @staticmethod
    def _accuracy(trainer: pl.Trainer) -> str:
        value = trainer.callback_metrics.get("val/acc")
        return "" if value is None else f", val acc {float(value):.3f}"

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and not self.live:
            loss = trainer.callback_metrics.get("val/loss")
            told = "" if loss is None else f": val loss {float(loss):.3f}{self._accuracy(trainer)}"
            print(f"{self.title}, epoch {trainer.current_epoch + 1}/{trainer.max_epochs}{told}", file=sys.stderr)

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
