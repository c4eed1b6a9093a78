"""A fit begins at a checkpoint, and leaves checkpoints: one mechanism for rewinding and for interrupted rounds."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from lth.cli import signals
from lth.errors import notice_once
from lth.invariants.monitor import Monitor
from lth.training.callbacks import History, finite, generators
from lth.training.task import State, Task, copied
from lth.tree import checkpoint as checkpoints
from lth.tree.checkpoint import Checkpoint, Progress


def capture(trainer: pl.Trainer, pl_module: pl.LightningModule, target: str, epoch: int, *, epoch_ended: bool) -> Checkpoint:
    """Return the checkpoint of a training as it is now, without progress; ``epoch``: in which the next step is."""
    network = pl_module.get_submodule(target)
    schedules = []
    for config in trainer.lr_scheduler_configs:
        state = {name: value for name, value in config.scheduler.state_dict().items() if not callable(value)}
        groups = [{k: v for k, v in group.items() if k != "params"} for group in config.scheduler.optimizer.param_groups]
        schedules.append({"scheduler": state, "groups": groups})
    scaler = trainer.precision_plugin.state_dict()  # numbers of the loss scaler; empty where there is none
    return Checkpoint(
        trainer.global_step,
        copied(network),
        checkpoints.moments(trainer.optimizers, network),
        {} if epoch_ended else generators(pl_module.device),
        {n: torch.tensor(x, dtype=torch.float64 if isinstance(x, float) else None) for n, x in scaler.items()},
        schedules,
        epoch=epoch,
    )


class Restore(pl.Callback):
    """Sets a fresh Trainer to where a checkpoint is: counters, optimiser state, schedules, loss scaler.

    Stands after the ticket, which takes no Trainer that has trained, and before the callbacks that look at the start.

    Args:
        checkpoint: where training starts; without moments or schedules, those are the fresh Trainer's.
        target: name of the network in the LightningModule.
        exactly: the weights are to be the checkpoint's to the bit, where a pruned one may be -0: of an interrupted round.
    """

    def __init__(self, checkpoint: Checkpoint, target: str, *, exactly: bool) -> None:
        self.checkpoint, self.target, self.exactly = checkpoint, target, exactly

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
        for config, state in zip(trainer.lr_scheduler_configs, self.checkpoint.schedules):
            config.scheduler.load_state_dict(config.scheduler.state_dict() | state["scheduler"])
            for group, values in zip(config.scheduler.optimizer.param_groups, state["groups"]):
                group.update({k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        if self.checkpoint.scaler:
            trainer.precision_plugin.load_state_dict({name: x.item() for name, x in self.checkpoint.scaler.items()})


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


class SaveRewind(pl.Callback):
    """Writes the rewind checkpoint of a round 0.

    Args:
        path: of its file.
        at: after so many optimiser steps, ``500it``, or epochs, ``2ep``; the latter only where no round goes on in mid-epoch.
        target: name of the network in the LightningModule.
        stop: whether training ends there.
    """

    def __init__(self, path: Path, at: str, target: str, *, stop: bool) -> None:
        self.path, self.target, self.stop = path, target, stop
        self.step, self.epoch = (int(at[:-2]), -1) if at.endswith("it") else (-1, int(at[:-2]))

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            last = batch_idx + 1 == trainer.num_training_batches
            here = capture(trainer, pl_module, self.target, trainer.current_epoch + last, epoch_ended=last)
            checkpoints.save(self.path, here)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stop and trainer.current_epoch + 1 == self.epoch:
            trainer.should_stop = True

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The end of the epoch before: by now its schedules are done."""
        if trainer.current_epoch == self.epoch:
            checkpoints.save(self.path, capture(trainer, pl_module, self.target, self.epoch, epoch_ended=True))

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stop:
            self.on_train_epoch_start(trainer, pl_module)


class SaveProgress(pl.Callback):
    """Writes the checkpoint of a round every ``trainer.checkpoint_minutes``, and when a signal asks to stop.

    Stands after the history and the monitor.

    Args:
        path: of its file.
        sessions: the number of processes that have worked on this round, this one included.

    Raises:
        Interrupted: a signal asked to stop, and the checkpoint is written.
    """

    def __init__(self, path: Path, task: Task, history: History, monitor: Monitor, sessions: int) -> None:
        self.path, self.task, self.history, self.monitor, self.sessions = path, task, history, monitor, sessions
        self.options = task.config.trainer

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin, self.last = trainer.global_step, time.monotonic()
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
        interval = self.options.val_check_interval
        validated = interval and trainer.global_step % interval == 0  # the validation that belongs to it is still to come
        last = batch_idx + 1 == trainer.num_training_batches
        if self.task.steps_per_epoch is not None and not last and not validated and self._due():
            self._save(trainer, pl_module, epoch_ended=False)

    def _due(self) -> bool:
        return bool(signals.asked()) or 0 < self.options.checkpoint_minutes * 60 <= time.monotonic() - self.last

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *, epoch_ended: bool) -> None:
        here = capture(trainer, pl_module, self.task.target, trainer.current_epoch, epoch_ended=epoch_ended)
        sums = {} if epoch_ended or not hasattr(pl_module, "sums") else {"sums": pl_module.sums.clone()}
        if not finite(here.state | sums):
            return  # training stops within some steps, and the last good checkpoint stays
        try:
            json.dumps(here.schedules)
        except TypeError as error:
            notice_once(f"no checkpoint can be written: a learning-rate scheduler holds more than plain values ({error}).")
            return
        history = self.history
        progress = Progress(history.rows, history.weights, self.monitor.observed(), sums, history.elapsed(), self.sessions)
        checkpoints.save(self.path, replace(here, progress=progress, masks=self.monitor.ticket.masks))
        self.last = time.monotonic()
        signals.stop(f"saved at iteration {here.step}")
