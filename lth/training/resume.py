"""An interrupted round goes on where it stopped, and ends with the same bits as if it had not been interrupted."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from typing_extensions import override

from lth.cli import signals
from lth.config import Trainer
from lth.errors import DataError
from lth.hashes import of_record, of_tensors
from lth.invariants.monitor import Monitor
from lth.training import checkpoint as point
from lth.training.checkpoint import Point
from lth.training.finite import finite
from lth.training.history import History
from lth.tree import files


@dataclass(frozen=True)
class Partial:
    """A round that has not ended: where it is, and what has been seen of it so far.

    ``sums``: the classifier's running sums of the epoch; ``weights``, ``rows``: of the history; ``seen``: of the witness;
    ``seconds``: spent on it; ``sessions``: processes that worked on it.
    """

    point: Point
    sums: Tensor
    weights: dict[int, point.State]
    rows: list[dict[str, Any]]
    seen: dict[str, Any]
    seconds: float
    sessions: int


def save(path: Path, partial: Partial) -> None:
    tensors = point.pack(partial.point) | {"sums": partial.sums}
    tensors |= {f"weights-{step}/{n}": t for step, weights in partial.weights.items() for n, t in weights.items()}
    about = {
        "format": "lth-partial-3", "name": path.name, "step": partial.point.step, "digest": of_tensors(tensors),
        "rows": partial.rows, "weights": list(partial.weights), "seen": partial.seen, "seconds": partial.seconds,
        "sessions": partial.sessions,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_tensors(path, tensors, about | {"hash": of_record(about)})


def load(path: Path) -> Partial | None:
    """What ``save`` wrote; None where there is nothing, or nothing whole, which is named: the round then begins anew."""
    if not path.exists():
        return None
    try:
        tensors, about = files.read_tensors(path)
        if about.get("hash") != of_record(about) or about["name"] != path.name or of_tensors(tensors) != about["digest"]:
            raise DataError("it does not match its hash")
        weights = {step: point.under(f"weights-{step}", tensors) for step in about["weights"]}
        here = point.unpack(tensors, about["step"])
        return Partial(here, tensors["sums"], weights, about["rows"], about["seen"], about["seconds"], about["sessions"])
    except (DataError, KeyError):
        files.give_up(path, "the round begins anew")
        return None


class Saver(pl.Callback):
    """Saves where training is every few minutes, and when a signal asks to stop; stands after History and Witness.

    Args:
        options: ``checkpoint_minutes`` between two savings, 0: only at a signal; where ``val_check_interval`` is not 0,
            savings are made at validations alone, so that none is missed or made twice.
        begin: the step that this process began with.
        before: what the processes before this one saved.

    Raises:
        Interrupted: a signal asked to stop, and all is saved.
    """

    def __init__(
        self, path: Path, options: Trainer, history: History, witness: Monitor, begin: int, before: Partial | None
    ) -> None:
        self.path, self.minutes, self.interval, self.begin = path, options.checkpoint_minutes, options.val_check_interval, begin
        self.history, self.witness = history, witness
        self.seconds, self.sessions = (before.seconds, before.sessions + 1) if before else (0.0, 1)
        self._started = self._last = time.monotonic()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started = self._last = time.monotonic()
        signals.keep_listening()

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # At the last step of an epoch the validation that belongs to it is still to come.
        if self._due() and not self.interval and batch_idx + 1 < trainer.num_training_batches:
            self._save(trainer, pl_module, False)

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        ended = trainer.fit_loop.epoch_loop.batch_idx + 1 == trainer.num_training_batches
        if self._due() and self.interval and trainer.state.fn == "fit" and not ended:
            self._save(trainer, pl_module, False)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Not at the validation before: the witness has yet to look at the epoch."""
        validated = self.history.rows and self.history.rows[-1]["iteration"] == self.begin + trainer.global_step
        alone = trainer.num_training_batches == 1  # there is no step but the last of an epoch
        if self._due() and validated and (self.interval or alone) and trainer.current_epoch + 1 < trainer.max_epochs:
            self._save(trainer, pl_module, True)

    def _due(self) -> bool:
        return bool(signals.asked()) or 0 < self.minutes * 60 <= time.monotonic() - self._last

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch_ended: bool) -> None:
        here = point.of(trainer, pl_module, self.begin + trainer.global_step, epoch_ended)
        if not finite(here.state | {"sums": pl_module.sums}):
            return  # Finite stops training within some steps, and the last good saving stays
        seconds = self.seconds + time.monotonic() - self._started
        sums = pl_module.sums * 0 if epoch_ended else pl_module.sums.clone()
        seen = self.witness.observed()
        save(self.path, Partial(here, sums, self.history.weights, self.history.rows, seen, seconds, self.sessions))
        self._last = time.monotonic()
        signals.stop(f"saved at iteration {here.step}")
