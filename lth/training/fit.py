"""The part of a round that Lightning does: fit, then test, with a fresh Trainer."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor

from lth.config import Config
from lth.invariants.monitor import Monitor
from lth.pruning.callback import LotteryTicket
from lth.tracking.progress import Progress
from lth.tracking.remaining import Remaining
from lth.training.callbacks import History, NaNGuard, Reseed
from lth.training.checkpoint import Begin, Capture, Saver
from lth.training.start import Start
from lth.training.task import Fit, State, Task
from lth.tree import checkpoint as checkpoints
from lth.tree import metrics

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
NOISE = (  # what Lightning warns of and we do on purpose, or cannot help
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*in eval mode at the start of training.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*Encountered `nan` values in tensor.*",  # NaNGuard says so in a sentence
    ".*Checkpoint directory .* exists and is not empty.*",
)


@dataclass(frozen=True)
class Result:
    """What a training gave: ``rows`` of metrics.csv, ``scores`` (fields of a record), the predicted class of each test image
    (int64 (n,), or None), the monitor of its invariants, ``seconds`` spent by earlier processes. The task's network holds the
    final weights."""

    rows: list[metrics.Row]
    scores: dict[str, Any]
    predicted: np.ndarray | None
    monitor: Monitor
    seconds: float


@dataclass(frozen=True)
class How:
    """How a round is trained, beside its start.

    Args:
        epochs: of the whole schedule, from its beginning.
        title: what stands before the display of progress.
        remaining: of the experiment that this training is counted in; None: of this training alone.
        loggers: Lightning's.
        path: the file of the checkpoint of this round, from which it goes on if it exists; None: it has no checkpoints.
        captures: what writes rewind checkpoints.
        until: the capture after which training ends, untested; None: it ends after the last epoch.
    """

    epochs: int
    title: str
    remaining: Remaining | None = None
    loggers: tuple[Any, ...] = ()
    path: Path | None = None
    captures: tuple[Capture, ...] = ()
    until: Capture | None = None


def fit(task: Task, config: Config, start: Start, how: How) -> Result:
    """Train the task's network from ``start`` and test it.

    The callback ``ticket`` rewinds and masks the network when the fit starts, and holds pruned weights at zero;
    ``start.plan`` computed the masks. ``Begin`` then sets what else belongs to the start, and of an interrupted round the
    weights, too.
    """
    interrupted = checkpoints.load_valid(how.path) if how.path else None
    begin = interrupted or start.checkpoint
    total = task.steps_per_epoch * how.epochs if task.steps_per_epoch else None
    made = task.fit(start.seed, begin, total, start.constant_rate)
    before = interrupted.progress if interrupted else None
    ticket = LotteryTicket(None, target=task.target, masks=start.ticket.masks, init=start.ticket.rewind)
    monitor = Monitor(ticket, begin.state, begin.moments, made.first_rate)
    if before:
        monitor.resume(before.observed)
    history = History(task.target, task.names, task.images_per_step, before)
    callbacks = [
        ticket, Begin(begin, task.target, exactly=interrupted is not None, schedules=task.restores_schedules), monitor,
        Reseed(start.seed, begin.generators, everything=task.seeds_everything),
        NaNGuard(task.target, task.names, how.path), history, *how.captures, *filter(None, [how.until]),
    ]  # fmt: skip
    if how.path:
        callbacks.append(Saver(how.path, config.trainer, task.target, history, monitor, mid_epoch=task.mid_epoch, before=before))
    callbacks.append(Progress(how.title, how.remaining or Remaining(how.epochs), task.names.score))
    trainer = _trainer(config, task, made, callbacks, how, reload=begin.step > 0 and bool(task.steps_per_epoch))
    with quiet():
        trainer.fit(made.module, made.data)
        if how.until:
            return Result(history.rows, {}, None, monitor, history.seconds)
        if not history.rows or history.rows[-1]["iteration"] != trainer.global_step:
            trainer.validate(made.module, made.data, verbose=False)  # the last validation was before the last step
        scores, predicted = _test(trainer, task, made, history)
    return Result(history.rows, scores, predicted, monitor, history.seconds)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of NOISE."""
    with warnings.catch_warnings():
        for noise in NOISE:
            warnings.filterwarnings("ignore", noise)
        yield


def _trainer(config: Config, task: Task, made: Fit, callbacks: list[pl.Callback], how: How, *, reload: bool) -> pl.Trainer:
    """Return a fresh Trainer, and with it a fresh optimiser, schedule and counters."""
    interval, devices = config.trainer.val_check_interval, config.trainer.devices
    options = {
        "val_check_interval": interval or 1.0,
        "check_val_every_n_epoch": None if interval else 1,
        "accelerator": task.device.accelerator,
        "devices": devices,
        "strategy": "ddp" if devices > 1 else "auto",
        "precision": task.device.precision,
        "deterministic": config.trainer.deterministic,
        "gradient_clip_val": config.optim.clip or None,
    }
    return pl.Trainer(
        **options | made.options,
        max_epochs=how.epochs,
        max_steps=how.until.step if how.until else -1,
        reload_dataloaders_every_n_epochs=int(reload),  # the first epoch may be shorter than the others
        callbacks=callbacks,
        logger=list(how.loggers),
        inference_mode=False,  # metrics live on into the next round, and inference tensors cannot be updated there
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _test(trainer: pl.Trainer, task: Task, made: Fit, history: History) -> tuple[dict[str, Any], np.ndarray | None]:
    """Score the test part at the end points and at the end; the last weights stay in the network."""
    last = history.rows[-1]
    final = _copy(task.network.state_dict())
    tested = {}
    for iteration, weights in history.weights.items():
        if iteration != last["iteration"]:
            task.network.load_state_dict(weights, strict=False)
            tested[iteration] = _score(trainer, task, made, history, iteration, [])
    task.network.load_state_dict(final, strict=False)
    tested[last["iteration"]] = _score(trainer, task, made, history, last["iteration"], trainer.loggers)
    scores = metrics.scores(history.rows) | {"test_acc": tested[last["iteration"]]}
    scores |= {f"{name}_test_acc": tested[scores[f"{name}_iteration"]] for name in metrics.END_POINTS}
    speeds = [row["images_per_second"] for row in history.rows if row["images_per_second"] is not None]
    scores["images_per_second"] = round(float(np.median(speeds)), 1) if speeds else None
    return scores | task.test_facts(made.module), task.predicted(made.module)


def _copy(state: dict[str, Any]) -> State:
    return {n: t.detach().clone() for n, t in state.items() if isinstance(t, Tensor)}


def _score(trainer: pl.Trainer, task: Task, made: Fit, history: History, iteration: int, loggers: list[Any]) -> float:
    if not task.tests:
        return next(row["val_acc"] for row in history.rows if row["iteration"] == iteration)
    before, trainer.loggers = trainer.loggers, loggers
    trainer.test(made.module, made.data, verbose=False)
    trainer.loggers = before
    return task.names.of(trainer.callback_metrics, task.names.test)
