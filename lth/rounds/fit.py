"""The part of a round that Lightning does: fit, then test, with a fresh Trainer."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from typing_extensions import override

from lth.config import Config
from lth.data.module import ImageData, mix
from lth.models.classifier import Classifier, lr_factor
from lth.pruning.callback import LotteryTicket
from lth.rounds.device import Device
from lth.rounds.history import History
from lth.rounds.progress import Progress
from lth.rounds.proof import Witness
from lth.rounds.ticket import Ticket

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
NOISE = (  # what Lightning warns of and we do on purpose, or cannot help
    ".*does not have many workers.*",
    ".*number of training batches.*",
    ".*in eval mode at the start of training.*",
    ".*isinstance.treespec, LeafSpec.*",
)


@contextmanager
def hush() -> Iterator[None]:
    with warnings.catch_warnings():
        for noise in NOISE:
            warnings.filterwarnings("ignore", noise)
        yield


class Reseed(pl.Callback):
    """Draws an epoch's dropout from (seed, epoch, rank), so that it does not depend on what ran before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @override
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        torch.manual_seed(mix(self.seed, trainer.current_epoch, trainer.global_rank, 1))


def fit(
    model: Classifier, data: ImageData, config: Config, device: Device, ticket: Ticket, loggers: list[Any], title: str
) -> tuple[dict[str, Any], History, Witness]:
    """Train ``model`` from the ticket and test it; it then holds the final weights.

    Returns the scores of the last and of the best epoch, all epochs, and what was seen of the invariants.
    """
    callback = LotteryTicket(None, target="net", masks=ticket.masks, init=ticket.rewind)
    witness = Witness(callback, ticket.start, config.optim.lr * lr_factor(config.optim, 0, 1))
    history = History(len(data.splits.train))
    trainer = _trainer(config, device, [callback, witness, Reseed(config.seed), history, Progress(title)], loggers)
    with hush():
        trainer.fit(model, data)
        return _test(trainer, model, data, history), history, witness


def _trainer(config: Config, device: Device, callbacks: list[pl.Callback], loggers: list[Any]) -> pl.Trainer:
    """Fresh, and with it optimiser, schedule and counters."""
    return pl.Trainer(
        max_epochs=config.epochs,
        accelerator=device.accelerator,
        devices=config.trainer.devices,
        strategy="ddp" if config.trainer.devices > 1 else "auto",
        precision=device.precision,
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
    """Score the test images with the best epoch's weights, then with the last ones, which stay in the network."""
    last, best = history.rows[-1], history.best
    final = {n: t.detach().clone() for n, t in model.net.state_dict().items()}
    if best is not last:
        model.net.load_state_dict(history.best_weights)
        best_test = _score(trainer, model, data, [])
        model.net.load_state_dict(final)
    test = _score(trainer, model, data, trainer.loggers)
    names = ("train_loss", "train_acc", "val_loss", "val_acc")
    return {
        **{name: last[name] for name in names},
        "test_acc": test,
        "best_epoch": best["epoch"],
        "best_iteration": best["iteration"],
        **{f"best_{name}": best[name] for name in names},
        "best_test_acc": test if best is last else best_test,
        "early_stop_iteration": history.early_stop_iteration,
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
