"""A fit begins at a checkpoint, and leaves checkpoints: one mechanism for rewinding and for interrupted rounds."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from lth.cli import signals
from lth.config import Trainer
from lth.errors import notice_once
from lth.invariants.monitor import Monitor
from lth.training.callbacks import History, finite
from lth.training.state import generators, scaler, schedules, set_scaler, set_schedules
from lth.training.task import State
from lth.tree import checkpoint as checkpoints
from lth.tree.checkpoint import Checkpoint, Progress


def capture(trainer: pl.Trainer, pl_module: pl.LightningModule, target: str, epoch: int, *, epoch_ended: bool) -> Checkpoint:
    """Return the checkpoint of a training as it is now, without progress; ``epoch``: in which the next step is."""
    network = pl_module.get_submodule(target)
    state = {n: t.detach().cpu().clone() for n, t in network.state_dict().items() if isinstance(t, Tensor)}
    draws = {} if epoch_ended else generators(pl_module.device)
    moments = checkpoints.moments(trainer.optimizers, network)
    return Checkpoint(
        trainer.global_step, state, moments, draws, scaler(trainer.precision_plugin), schedules(trainer), epoch=epoch
    )


class Begin(pl.Callback):
    """Sets a fresh Trainer to where a checkpoint is: counters, optimiser state, schedules, loss scaler.

    Stands before the callbacks that look at the start.

    Args:
        checkpoint: where training starts.
        target: name of the network in the LightningModule.
        exactly: the weights are to be the checkpoint's to the bit, where a pruned one may be -0: of an interrupted round.
        schedules: whether learning-rate schedules go on from those of the checkpoint.
    """

    def __init__(self, checkpoint: Checkpoint, target: str, *, exactly: bool, schedules: bool) -> None:
        self.checkpoint, self.target, self.exactly, self.schedules = checkpoint, target, exactly, schedules

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step, loop = self.checkpoint.step, trainer.fit_loop
        steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        batches, epochs = loop.epoch_loop.batch_progress.total, loop.epoch_progress
        steps.ready = steps.completed = step
        loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = step
        loop.epoch_loop.on_load_checkpoint({"_batches_that_stepped": step})  # what loggers take for the step
        batches.ready = batches.started = batches.processed = batches.completed = step
        for progress in (epochs.current, epochs.total):
            progress.ready = progress.started = progress.processed = progress.completed = self.checkpoint.epoch

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        network = pl_module.get_submodule(self.target)
        if self.exactly:
            network.load_state_dict(self.checkpoint.state, strict=False)
        if self.checkpoint.moments:
            names = {id(p): name for name, p in network.named_parameters()}
            for optimizer in trainer.optimizers:
                _set_moments(optimizer, names, self.checkpoint.moments)
        if self.schedules:
            set_schedules(trainer, self.checkpoint.schedules)
        set_scaler(trainer.precision_plugin, self.checkpoint.scaler)


def _set_moments(optimizer: Optimizer, names: dict[int, str], moments: State) -> None:
    """Give an optimiser its parameters' state; its hyper-parameters stay those of this training."""
    params = [p for group in optimizer.param_groups for p in group["params"]]
    order = {names.get(id(p)): i for i, p in enumerate(params)}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in moments.items():
        parameter, _, kind = name.rpartition("/")
        if (i := order.get(parameter)) is not None:
            # Fused optimisers walk through memory, so moments must lie there as their weights do.
            copy = torch.empty_like(params[i].data, dtype=tensor.dtype) if tensor.shape == params[i].shape else tensor.clone()
            state.setdefault(i, {})[kind] = copy.copy_(tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


class Capture(pl.Callback):
    """Hands a rewind checkpoint to ``write``: after ``step`` optimiser steps, or at the end of ``epoch`` epochs.

    Args:
        target: name of the network in the LightningModule.
        stop: whether training ends there.
    """

    def __init__(
        self, target: str, write: Callable[[Checkpoint], None], *, step: int = -1, epoch: int = -1, stop: bool = False
    ) -> None:
        self.target, self.write, self.step, self.epoch, self.stop, self.done = target, write, step, epoch, stop, False

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            last = batch_idx + 1 == trainer.num_training_batches
            self._write(trainer, pl_module, trainer.current_epoch + last, epoch_ended=last)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stop and trainer.current_epoch + 1 == self.epoch:
            trainer.should_stop = True

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The end of the epoch before: by now its schedules are done."""
        if trainer.current_epoch == self.epoch:
            self._write(trainer, pl_module, self.epoch, epoch_ended=True)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stop and trainer.current_epoch == self.epoch:
            self._write(trainer, pl_module, self.epoch, epoch_ended=True)

    def _write(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int, *, epoch_ended: bool) -> None:
        if not self.done:  # a manual optimiser may step twice in a batch, or not at all
            self.done = True
            self.write(capture(trainer, pl_module, self.target, epoch, epoch_ended=epoch_ended))


class Saver(pl.Callback):
    """Writes a checkpoint every few minutes, and when a signal asks to stop; stands after the history and the monitor.

    Args:
        path: of the checkpoint of this round.
        options: ``checkpoint_minutes`` between two checkpoints, 0: only at a signal.
        target: name of the network in the LightningModule.
        mid_epoch: whether training can go on from the middle of an epoch.
        before: the checkpoint that this process began with, where the round had been interrupted.

    Raises:
        Interrupted: a signal asked to stop, and the checkpoint is written.
    """

    def __init__(
        self, path: Path, options: Trainer, target: str, history: History, monitor: Monitor, *, mid_epoch: bool,
        before: Progress | None,
    ) -> None:  # fmt: skip
        self.path, self.target, self.history, self.monitor, self.mid_epoch = path, target, history, monitor, mid_epoch
        self.minutes, self.interval = options.checkpoint_minutes, options.val_check_interval
        self.seconds, self.sessions = (before.seconds, before.sessions + 1) if before else (0.0, 1)
        self.begin, self._started = 0, time.monotonic()
        self._last = self._started

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin = trainer.global_step
        self._started = self._last = time.monotonic()
        signals.keep_listening()

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The end of the epoch before: by now its validation, its checks and its schedules are done."""
        if trainer.global_step > self.begin and self._due():
            self._save(trainer, pl_module, epoch_ended=True)

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = batch_idx + 1 == trainer.num_training_batches  # the validation that belongs to it is still to come
        validated = self.interval and trainer.global_step % self.interval == 0
        if self.mid_epoch and not last and not validated and self._due():
            self._save(trainer, pl_module, epoch_ended=False)

    def _due(self) -> bool:
        return bool(signals.asked()) or 0 < self.minutes * 60 <= time.monotonic() - self._last

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, epoch_ended: bool) -> None:
        here = capture(trainer, pl_module, self.target, trainer.current_epoch, epoch_ended=epoch_ended)
        sums = {} if epoch_ended or not hasattr(pl_module, "sums") else {"sums": pl_module.sums.clone()}
        if not finite(here.state | sums):
            return  # training stops within some steps, and the last good checkpoint stays
        progress = Progress(
            self.history.rows, self.history.weights, self.monitor.observed(), sums,
            self.seconds + time.monotonic() - self._started, self.sessions,
        )  # fmt: skip
        try:
            json.dumps(here.schedules)
        except TypeError as error:
            notice_once(f"no checkpoint can be written: a learning-rate scheduler holds more than plain values ({error}).")
            return
        checkpoints.save(self.path, Checkpoint(**{**vars(here), "progress": progress}))
        self._last = time.monotonic()
        signals.stop(f"saved at iteration {here.step}")
