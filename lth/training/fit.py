"""The part of a round that Lightning does: fit, then test, with a fresh Trainer."""

import logging
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from lth.invariants.monitor import Monitor
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.tracking.progress import Progress
from lth.tracking.remaining import Remaining
from lth.training.callbacks import History, Reseed
from lth.training.checkpoint import Restore, SaveProgress, SaveRewind
from lth.training.gradual import Gradual
from lth.training.start import Start
from lth.training.task import Task, copied
from lth.training.together import NoProfiler, Together
from lth.tree import checkpoint as checkpoints
from lth.tree import metrics

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
NOISE = (  # what Lightning warns of and we do on purpose, or cannot help
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*in eval mode at the start of training.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*srun. command is available.*",
    ".*Encountered `nan` values in tensor.*",  # History says so in a sentence
    ".*Checkpoint directory .* exists and is not empty.*",
)


@dataclass(frozen=True)
class Result:
    """What a training gave, beside the final weights in the task's network.

    Args:
        rows: of metrics.csv.
        scores: fields of a record.
        masks: at the end; a gradual round's are sparser than those that it started with.
        predicted: the class of each test image, int64 (n,), or None.
        observed: by the monitor of the invariants.
        seconds: that earlier processes spent on it.
    """

    rows: list[metrics.Row]
    scores: dict[str, Any]
    masks: M.Masks
    predicted: np.ndarray | None
    observed: dict[str, Any]
    seconds: float


def fit(
    task: Task, start: Start, epochs: int, title: str, remaining: Remaining | None = None, loggers: Collection[Logger] = (),
    path: Path | None = None, rewind: SaveRewind | None = None,
) -> Result:  # fmt: skip
    """Rewind the task's network to ``start``, train it and test it.

    ``start.plan`` has computed the masks; the callback ``LotteryTicket`` holds pruned weights at zero.

    Args:
        epochs: of the whole schedule, from its beginning.
        title: what stands before the display of progress.
        remaining: of the experiment that this training is counted in; None: of this training alone.
        path: the file of the checkpoint of this round, from which it goes on if it exists; None: it has no checkpoints.
        rewind: what writes the rewind checkpoint; where it stops the training, nothing is tested.
    """
    task.rewind_(start.ticket.rewind, start.ticket.masks)
    interrupted = checkpoints.load_valid(path) if path else None
    begin, before = interrupted or start.checkpoint, interrupted.progress if interrupted else None
    module, data, first_rate = task.modules(start.seed, begin, epochs, start.constant_rate)
    init, masks = start.ticket.rewind, start.ticket.masks | (interrupted.masks if interrupted else {})  # in the network's order
    if task.config.optim.sparse:  # it holds no moments of pruned weights; others may have saved -0
        begin = replace(begin, moments=checkpoints.masked(begin.moments, masks))
    ticket = LotteryTicket(None, target=task.target, masks=masks, init=init, zero_stays=task.zero_stays)
    monitor = Monitor(ticket, begin.state, begin.moments, first_rate)
    if before:
        monitor.resume(before.observed)
    history = History(task.target, task.names, task.images_per_step, path, before, ticket if start.gradual else None)
    restore = Restore(begin, task.target, exactly=interrupted is not None)
    iterations = task.steps_per_epoch and task.steps_per_epoch * epochs
    gradual = [Gradual(ticket, task.config.prune, start.expected, iterations)] if start.gradual else []
    callbacks = [restore, *gradual, monitor, Reseed(start.seed, begin.generators), history]
    if rewind:
        callbacks.append(rewind)
    if path:
        callbacks.append(SaveProgress(path, task, history, monitor, before.sessions + 1 if before else 1))
    callbacks.append(Progress(title, remaining or Remaining(epochs), task.names.score))
    stop = rewind is not None and rewind.stop
    trainer = _trainer(
        task,
        max_epochs=epochs,
        max_steps=rewind.step if stop else -1,
        reload_dataloaders_every_n_epochs=int(begin.step > 0 and task.steps_per_epoch is not None),  # the first may be shorter
        callbacks=[ticket, Together(callbacks)],
        logger=list(loggers),
    )
    with quiet():
        trainer.fit(module, data)
        if stop:
            return Result(history.rows, {}, ticket.masks, None, monitor.observed(), history.seconds)
        if not history.rows or history.rows[-1]["iteration"] != trainer.global_step:
            trainer.validate(module, data, verbose=False)  # the last validation was before the last step
        scores = _test(trainer, task, module, data, history)
    facts, predicted = task.tested(module)
    return Result(history.rows, scores | facts, ticket.masks, predicted, monitor.observed(), history.seconds)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of NOISE."""
    with warnings.catch_warnings():
        for noise in NOISE:
            warnings.filterwarnings("ignore", noise)
        yield


@quiet()
def _trainer(task: Task, **options: Any) -> pl.Trainer:
    """Return a fresh Trainer, and with it a fresh optimiser, schedule and counters."""
    config, interval = task.config, task.config.trainer.val_check_interval
    ours = {
        "val_check_interval": interval or 1.0,
        "check_val_every_n_epoch": None if interval else 1,
        "accelerator": task.device.accelerator,
        "devices": config.trainer.devices,
        "strategy": "ddp" if config.trainer.devices > 1 else "auto",
        "precision": task.device.precision,
        "deterministic": config.trainer.deterministic,
        "gradient_clip_val": config.optim.clip or None,
        "inference_mode": False,  # metrics live on into the next round, and inference tensors cannot be updated there
        "num_sanity_val_steps": 0,
        "profiler": NoProfiler(),
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(**ours | task.options | options)


def _test(
    trainer: pl.Trainer, task: Task, module: pl.LightningModule, data: pl.LightningDataModule, history: History
) -> dict[str, Any]:
    """Score the test part at the end points and at the end; the last weights stay in the network."""
    rows, last = history.rows, history.rows[-1]
    final, loggers, tested = copied(task.network), trainer.loggers, {}
    for iteration, weights in [*history.weights.items(), (last["iteration"], final)]:
        if not task.tests:
            tested[iteration] = next(row["val_acc"] for row in rows if row["iteration"] == iteration)
        elif iteration != last["iteration"] or weights is final:
            task.network.load_state_dict(weights, strict=False)
            trainer.loggers = loggers if weights is final else []
            trainer.test(module, data, verbose=False)
            tested[iteration] = task.names.of(trainer.callback_metrics, task.names.test)
    scores = metrics.scores(rows) | {"test_acc": tested[last["iteration"]]}
    scores |= {f"{name}_test_acc": tested[scores[f"{name}_iteration"]] for name in metrics.END_POINTS}
    speeds = [row["images_per_second"] for row in rows if row["images_per_second"] is not None]
    return scores | {"images_per_second": round(float(np.median(speeds)), 1) if speeds else None}
