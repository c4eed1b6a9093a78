"""Training stops where a number stops being one: NaN and infinity are neither ranked nor kept."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from typing_extensions import override

from lth.errors import NumberError
from lth.tree import files

EVERY = 50  # steps between looks at a GPU, which have to wait for it


def finite(state: dict[str, Tensor]) -> bool:
    """Whether all tensors hold finite numbers alone."""
    return all(bool(torch.isfinite(t).all()) for t in state.values() if t.is_floating_point())


class Finite(pl.Callback):
    """Looks at the losses, and in the end at the weights; stands before the callbacks that keep anything.

    Args:
        step, epoch: where in the schedule training starts.
        place: the file where an interrupted training is saved, if there is one.

    Raises:
        NumberError: there is a number that is not finite; names the iteration, and the last good checkpoint.
    """

    def __init__(self, step: int = 0, epoch: int = 0, place: Path | None = None) -> None:
        self.step, self.epoch, self.place = step, epoch, place

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if pl_module.device.type == "cpu" or trainer.global_step % EVERY == 0:
            self._require(trainer, "training loss", float(pl_module.sums[0]))

    @override
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._require(trainer, "validation loss", float(trainer.callback_metrics["val/loss"]))

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name, tensor in pl_module.net.state_dict().items():
            if not finite({name: tensor}):
                self._require(trainer, f"weight {name}", float("nan"))

    def _require(self, trainer: pl.Trainer, what: str, value: float) -> None:
        if abs(value) < float("inf"):
            return
        epoch = self.epoch + min(trainer.current_epoch, (trainer.max_epochs or 1) - 1) + 1
        raise NumberError(
            f"the {what} is {value} at iteration {self.step + trainer.global_step}, epoch {epoch}: training stopped, the "
            f"round is not finished; {self._last()}. A lower optim.lr, or optim.clip=1, may help."
        )

    def _last(self) -> str:
        """The last good checkpoint, for people."""
        if self.place is None or not self.place.exists():
            return "no checkpoint had been saved in it yet"
        return f"its last good checkpoint is {self.place}, iteration {files.read_tensors(self.place)[1]['step']}"
