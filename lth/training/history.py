"""The validations of a round: one row each, and the weights at early stop and at the best validation."""

import csv
import io
import time
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from typing_extensions import override

SCORES = ("train_loss", "train_acc", "val_loss", "val_acc")
COLUMNS = ("epoch", "iteration", *SCORES, "lr", "images_per_second", "seconds")
# The first row with the lowest validation loss (Frankle & Carbin 2019, section 2) or the highest validation accuracy.
ENDS = {"early_stop": lambda row: float(row["val_loss"]), "best": lambda row: -float(row["val_acc"])}


class History(pl.Callback):
    """Keeps ``rows``, one a validation (see COLUMNS; losses in nats, accuracies as fractions, epochs and iterations from 1).

    Training figures are running means over the epoch so far, in train mode. ``weights``: by iteration, those of the rows of ENDS.

    Args:
        batch: images of a step, on average, over all ranks.
        epoch, step: where in the schedule training starts.
    """

    def __init__(self, batch: float, epoch: int = 0, step: int = 0) -> None:
        self.batch, self.epoch, self.step = batch, epoch, step
        self.rows: list[dict[str, Any]] = []
        self.weights: dict[int, dict[str, Tensor]] = {}
        self._begin = self._resumed = self._trained = 0.0
        self._done, self.before = step, 0.0

    def restore(self, rows: list[dict[str, Any]], weights: dict[int, dict[str, Tensor]], seconds: float) -> None:
        """Take over what an earlier process saw of this round in ``seconds``."""
        self.rows, self.weights, self.before = rows, weights, seconds

    def row(self, end: str) -> dict[str, Any]:
        """The row of one of ENDS."""
        return min(self.rows, key=ENDS[end])

    def scores(self, end: str, tested: dict[int, float]) -> dict[str, Any]:
        """What a record says of one of ENDS; ``tested``: test accuracy by iteration."""
        row = self.row(end)
        names = ("epoch", "iteration", *SCORES)
        return {f"{end}_{name}": row[name] for name in names} | {f"{end}_test_acc": tested[row["iteration"]]}

    def keep(self, net: nn.Module) -> None:
        """Copy the weights if the last row is that of an end; forget those of rows that no longer are."""
        wanted = {self.row(end)["iteration"] for end in ENDS}
        if (last := self.rows[-1]["iteration"]) in wanted:
            self.weights[last] = self._changing(net)
        self.weights = {step: weights for step, weights in self.weights.items() if step in wanted}

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin = self._resumed = time.perf_counter()

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = time.perf_counter() - self._resumed

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        iteration = self.step + trainer.global_step
        val = {name: float(trainer.callback_metrics[name]) for name in ("val/loss", "val/acc")}
        metrics = {name.replace("/", "_"): value for name, value in (pl_module.train_metrics() | val).items()}
        epoch = self.epoch + min(trainer.current_epoch, trainer.max_epochs - 1) + 1
        speed = (iteration - self._done) * self.batch / self._trained if self._trained else 0.0
        row = {"epoch": epoch, "iteration": iteration, **metrics, "images_per_second": speed}
        self.rows.append(row | {"seconds": self.before + time.perf_counter() - self._begin})
        self.keep(pl_module.net)
        self._done, self._resumed = iteration, time.perf_counter()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows:
            pl_module.log("train/images_per_second", self.rows[-1]["images_per_second"])

    @staticmethod
    def _changing(net: nn.Module) -> dict[str, Tensor]:
        """A copy of the state_dict without frozen parameters, which are the most of a transferred network."""
        frozen = {name for name, p in net.named_parameters() if not p.requires_grad}
        return {n: t.detach().cpu().clone() for n, t in net.state_dict().items() if n not in frozen}

    def csv(self) -> bytes:
        """The rows as a CSV file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue().encode()
