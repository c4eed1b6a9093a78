"""What looks on while a round trains: the history of validations, which stops it at NaN, and the seeds of each epoch."""

import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from typing_extensions import override

from lth.errors import NumberError
from lth.pruning.callback import LotteryTicket
from lth.seeds import stream
from lth.training.task import Names, State, copied, tensors
from lth.tree import checkpoint, metrics

EVERY = 50  # steps between looks at a GPU, which have to wait for it


def finite(state: State) -> bool:
    """Return whether all tensors hold finite numbers alone."""
    return all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point())


class History(pl.Callback):
    """Records a row of ``lth.tree.metrics`` at each validation, and the weights at the end points.

    Stops training where a loss or a weight is not finite, before anything is written: so it stands before what writes.
    Training figures are running means over the epoch so far, in train mode; a module of one's own has none. ``weights``: by
    iteration, the state at the end points, without frozen parameters.

    Args:
        target: name of the network in the LightningModule.
        names: of the validation's metrics.
        batch: images of a step, on average, over all ranks; None where that is not known.
        path: the file of the checkpoint of this round, if there may be one.
        before: what an earlier process recorded of this round.
        pruned: the callback whose density rows record, where it changes.

    Raises:
        NumberError: a number is not finite; the sentence names the iteration and the last good checkpoint.
    """

    def __init__(
        self, target: str, names: Names, batch: float | None, path: Path | None, before: checkpoint.Progress | None,
        pruned: LotteryTicket | None = None,
    ) -> None:  # fmt: skip
        self.target, self.names, self.batch, self.path, self.pruned = target, names, batch, path, pruned
        self.rows: list[metrics.Row] = before.rows if before else []
        self.weights: dict[int, State] = before.weights if before else {}
        self.seconds = before.seconds if before else 0.0  # of earlier processes

    def elapsed(self) -> float:
        """Return the seconds that this and earlier processes have trained this round."""
        return self.seconds + time.perf_counter() - self._begin

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin = self._resumed = time.perf_counter()
        self._step = trainer.global_step

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type != "cpu" and trainer.global_step % EVERY:
            return
        if hasattr(pl_module, "sums"):
            self._require_finite(trainer, "training loss", float(pl_module.sums[0]))
        elif isinstance(outputs, dict) and outputs.get("loss") is not None:
            self._require_finite(trainer, "training loss", float(outputs["loss"]))

    @override
    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = time.perf_counter() - self._resumed

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        iteration, logged = trainer.global_step, trainer.callback_metrics
        loss = self.names.of(logged, self.names.loss)
        self._require_finite(trainer, "validation loss", loss)
        running = pl_module.train_metrics() if hasattr(pl_module, "train_metrics") else {}
        row = {name.replace("/", "_"): value for name, value in running.items()} | {
            "epoch": _epoch(trainer),
            "iteration": iteration,
            "val_loss": loss,
            "val_acc": self.names.of(logged, self.names.score),
            "images_per_second": (iteration - self._step) * self.batch / self._trained if self.batch else None,
            "seconds": self.elapsed(),
        }
        self.rows.append(row | ({"density": self.pruned.density} if self.pruned else {}))
        ends = {metrics.end_point(self.rows, name)["iteration"] for name in metrics.END_POINTS}
        if iteration in ends:
            network = pl_module.get_submodule(self.target)
            frozen = {name for name, p in network.named_parameters() if not p.requires_grad}
            self.weights[iteration] = copied(network, without=frozen)
        self.weights = {step: weights for step, weights in self.weights.items() if step in ends}
        self._step, self._resumed = iteration, time.perf_counter()

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rows and self.batch:
            pl_module.log("train/images_per_second", self.rows[-1]["images_per_second"])

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, tensor in tensors(pl_module.get_submodule(self.target)).items():
            if not finite({name: tensor}):
                self._require_finite(trainer, f"weight {name}", float("nan"))

    def _require_finite(self, trainer: pl.Trainer, what: str, value: float) -> None:
        if not math.isfinite(value):
            last = "no checkpoint had been written in it yet"
            if self.path is not None and self.path.exists():
                last = f"its last good checkpoint is {self.path}, iteration {checkpoint.load(self.path).step}"
            raise NumberError(
                f"the {what} is {value} at iteration {trainer.global_step}, epoch {_epoch(trainer)}: training stopped, the round "
                f"is not finished; {last}. A lower optim.lr, or optim.clip=1, may help."
            )


def _epoch(trainer: pl.Trainer) -> int:
    """The number of the current epoch, from 1; after training, of the last one."""
    return min(trainer.current_epoch + 1, trainer.max_epochs)


def generators(device: torch.device) -> State:
    """Return the states of the generators that a training on ``device`` draws from, by device type."""
    states = {"cpu": torch.get_rng_state()}
    return states if device.type == "cpu" else states | {device.type: torch.get_device_module(device).get_rng_state()}


class Reseed(pl.Callback):
    """Draws each epoch's randomness from (seed, epoch, rank), so that it does not depend on what ran before.

    Seeds torch and, as data and modules of one's own may draw from them, Python and numpy.

    Args:
        seed: of data order and dropout.
        generators: the states of torch's generators to start with, where training starts in the middle of an epoch.
    """

    def __init__(self, seed: int, generators: State | None = None) -> None:
        self.seed, self.generators = seed, generators or {}

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        seed = stream("dropout", self.seed, trainer.current_epoch, trainer.global_rank)
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.on_fit_start(trainer, pl_module)  # which was for the first epoch's iterator, made before the epoch starts
        for kind, state in self.generators.items():
            (torch if kind == "cpu" else torch.get_device_module(kind)).set_rng_state(state)
        self.generators = {}
