"""The part of a round that Lightning does: fit, then test, with a fresh Trainer."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from typing_extensions import override

from lth.config import Config
from lth.data.module import ImageData
from lth.errors import UsageError
from lth.invariants.monitor import Witness
from lth.models.classifier import Classifier, lr_factor
from lth.pruning.callback import LotteryTicket
from lth.seeds import stream
from lth.tracking.progress import Progress
from lth.tracking.remaining import Remaining
from lth.training import checkpoint as point
from lth.training import resume
from lth.training.checkpoint import Capture, Continue
from lth.training.device import Device
from lth.training.finite import Finite
from lth.training.history import ENDS, SCORES, History
from lth.training.resume import Saver
from lth.training.start import Attempt

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
NOISE = (  # what Lightning warns of and we do on purpose, or cannot help
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*in eval mode at the start of training.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*Encountered `nan` values in tensor.*",  # Finite says so in a sentence
)


@contextmanager
def hush() -> Iterator[None]:
    with warnings.catch_warnings():
        for noise in NOISE:
            warnings.filterwarnings("ignore", noise)
        yield


class Reseed(pl.Callback):
    """Draws an epoch's dropout from (seed, epoch, rank), so that it does not depend on what ran before.

    Args:
        first: the epoch that training starts in.
        generators: the states of torch's generators to start with, where that is in the middle of the epoch.
    """

    def __init__(self, seed: int, first: int = 0, generators: point.State | None = None) -> None:
        self.seed, self.first, self.generators = seed, first, generators

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(stream("dropout", self.seed, self.first + trainer.current_epoch, trainer.global_rank))
        if self.generators and trainer.current_epoch == 0:
            point.set_generators(self.generators)


def fit(
    model: Classifier,
    data: ImageData,
    config: Config,
    device: Device,
    attempt: Attempt,
    *,
    epochs: int,
    loggers: list[Any],
    title: str,
    outlook: Remaining | None = None,
    capture: Capture | None = None,
    until: int = -1,
    place: Path | None = None,
) -> tuple[dict[str, Any], History, Witness]:
    """Train ``model`` as ``attempt`` says and test it; it then holds the final weights.

    Args:
        epochs: of the whole schedule, from its beginning.
        outlook: of the experiment that this training is counted in; None: of this training alone.
        capture: what notes a point on the way.
        until: optimiser steps after which training ends, untested; -1: after the last epoch.
        place: the file where an interrupted training is saved, and is gone on with if it is there.

    Returns the scores of the last and of the best epoch, all epochs, and what was seen of the invariants.
    """
    per_epoch = data.batches(config.trainer.devices)
    total = per_epoch * epochs
    partial = resume.load(place) if place else None
    begin = partial.point if partial else attempt.begin
    first, skipped = divmod(begin.step, per_epoch)
    model.factor = _factors(config, attempt, begin.step, total)
    model.carried = partial.sums if partial else None
    data.seed, data.begin = attempt.order, (first, skipped)
    callback = LotteryTicket(None, target="net", masks=attempt.ticket.masks, init=attempt.ticket.rewind)
    expected = begin.state if partial else attempt.ticket.start
    witness = Witness(callback, expected, begin.moments, config.optim.lr * model.factor(0))
    history = History(len(data.splits.train) / per_epoch, first, begin.step)
    if partial:
        witness.resumed(partial.seen)
        history.restore(partial.rows, partial.weights, partial.seconds)
    if capture:
        capture.begin = begin.step
    saver = [Saver(place, config.trainer, history, witness, begin.step, partial)] if place else []
    callbacks = [
        callback, Continue(begin, exactly=partial is not None), witness, Reseed(attempt.order, first, begin.generators),
        Finite(begin.step, first, place), history, *([capture] if capture else []), *saver,
        Progress(title, outlook or Remaining(until / per_epoch if until >= 0 else epochs)),
    ]  # fmt: skip
    trainer = _trainer(config, device, callbacks, loggers, epochs - first, until, reload=skipped > 0)
    with hush():
        trainer.fit(model, data)
        if until >= 0:
            return {}, history, witness
        if history.rows[-1:] == [] or history.rows[-1]["iteration"] != total:
            trainer.validate(model, data, verbose=False)  # validations stood elsewhere than at the end
        return _test(trainer, model, data, history), history, witness


def _factors(config: Config, attempt: Attempt, begin: int, total: int) -> Any:
    """The factor of the learning rate for each step from ``begin`` on.

    Raises UsageError where fine-tuning would have a learning rate of next to nothing.
    """
    optim = config.optim
    if not attempt.finetune:
        return lambda step: lr_factor(optim, begin + step, total)
    last = lr_factor(optim, total - 1, total)
    if last < 1e-3:
        raise UsageError(
            f"prune.retrain=finetune is not accepted with optim.schedule={optim.schedule}, which ends at a rate of about 0; "
            "it takes constant or step."
        )
    return lambda step: last


def _trainer(
    config: Config, device: Device, callbacks: list[pl.Callback], loggers: list[Any], epochs: int, until: int, reload: bool
) -> pl.Trainer:
    """Fresh, and with it optimiser, schedule and counters."""
    interval = config.trainer.val_check_interval
    return pl.Trainer(
        max_epochs=epochs,
        max_steps=until,
        val_check_interval=interval or 1.0,
        check_val_every_n_epoch=None if interval else 1,
        reload_dataloaders_every_n_epochs=int(reload),  # the first epoch is shorter than the others
        accelerator=device.accelerator,
        devices=config.trainer.devices,
        strategy="ddp" if config.trainer.devices > 1 else "auto",
        precision=device.precision,
        deterministic=config.trainer.deterministic,
        gradient_clip_val=config.optim.clip or None,
        callbacks=callbacks,
        logger=loggers,
        use_distributed_sampler=False,  # ImageData deals the batches to the ranks itself
        inference_mode=False,  # metrics live on into the next round, and inference tensors cannot be updated there
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _test(trainer: pl.Trainer, model: Classifier, data: ImageData, history: History) -> dict[str, Any]:
    """Score the test images at early stop, at the best validation, and at the end; the last weights stay in the network."""
    last = history.rows[-1]
    final = {n: t.detach().clone() for n, t in model.net.state_dict().items()}
    tested = {}
    for iteration, weights in history.weights.items():
        if iteration != last["iteration"]:
            model.net.load_state_dict(weights, strict=False)
            tested[iteration] = _score(trainer, model, data, [])
    model.net.load_state_dict(final)
    test = tested[last["iteration"]] = _score(trainer, model, data, trainer.loggers)
    return {
        **{name: last[name] for name in SCORES},
        "test_acc": test,
        **{name: value for end in ENDS for name, value in history.scores(end, tested).items()},
        "censored": history.row("early_stop") is last,
        "iterations": last["iteration"],
        "images_per_second": round(float(np.median([row["images_per_second"] for row in history.rows])), 1),
        "test_class_acc": dict(zip(data.splits.classes, model.class_acc.tolist())),
        "test_confusion": model.matrix.tolist(),
    }


def _score(trainer: pl.Trainer, model: Classifier, data: ImageData, loggers: list[Any]) -> float:
    kept, trainer.loggers = trainer.loggers, loggers
    trainer.test(model, data, verbose=False)
    trainer.loggers = kept
    return float(trainer.callback_metrics["test/acc"])
