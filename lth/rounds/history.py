"""The epochs of a round: one row each, and the weights of the best one."""

import csv
import io
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from typing_extensions import override

COLUMNS = ("epoch", "iteration", "train_loss", "train_acc", "val_loss", "val_acc", "lr", "images_per_second", "seconds")


class History(pl.Callback):
    """Keeps ``rows`` (see COLUMNS; losses in nats, accuracies as fractions, epochs and iterations from 1) and ``best``.

    The best epoch is the first with the highest validation accuracy; the early-stop iteration is that of the first
    epoch with the lowest validation loss (Frankle & Carbin 2019, section 2).

    Args:
        images: training images of an epoch, over all ranks.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.rows: list[dict[str, Any]] = []
        self.best_weights: dict[str, Tensor] = {}
        self._begin = self._epoch_begin = self._trained = 0.0

    @property
    def best(self) -> dict[str, Any]:
        """The row of the best epoch."""
        return max(self.rows, key=lambda row: row["val_acc"])

    @property
    def early_stop_iteration(self) -> int:
        return min(self.rows, key=lambda row: row["val_loss"])["iteration"]

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin = time.perf_counter()

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_begin = time.perf_counter()

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = time.perf_counter()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        speed = self.images / (self._trained - self._epoch_begin)
        pl_module.log("train/images_per_second", speed)
        val = {name: float(trainer.callback_metrics[name]) for name in ("val/loss", "val/acc")}
        metrics = {name.replace("/", "_"): value for name, value in (pl_module.train_metrics() | val).items()}
        row = {"epoch": trainer.current_epoch + 1, "iteration": trainer.global_step, **metrics}
        self.rows.append(row | {"images_per_second": speed, "seconds": time.perf_counter() - self._begin})
        if self.best is self.rows[-1]:
            self.best_weights = {n: t.detach().cpu().clone() for n, t in pl_module.net.state_dict().items()}

    def csv(self) -> bytes:
        """The rows as a CSV file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue().encode()
