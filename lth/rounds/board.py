"""What goes to TensorBoard, once a round, after its test."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from lth.data.split import Splits
from lth.models.classifier import Classifier
from lth.results import figures, table

HPARAMS = ("model", "finetune", "data", "seed", "round", "rate", "density")
METRICS = ("test_acc", "val_acc", "train_acc", "best_test_acc", "early_stop_iteration", "effective_density", "speedup")


def loggers(name: str, folder: Path) -> list[Logger]:
    """The Lightning loggers of a round; each writes into the round's own folder."""
    match name:
        case "tensorboard":
            return [TensorBoardLogger(folder, name="", version="", default_hp_metric=False)]
        case "csv":
            return [CSVLogger(folder, name="", version="lightning")]
        case _:
            return []


def show(loggers: list[Logger], record: dict[str, Any], model: Classifier, splits: Splits) -> None:
    """Hyperparameters with the scores, each layer's density, weights and FLOPs, the confusion matrix, misclassified images."""
    for logger in loggers:
        logger.log_hyperparams({n: record[n] for n in HPARAMS if record[n] is not None}, *_metrics(logger, record))
        if isinstance(logger, TensorBoardLogger):
            _pictures(logger, record, model, splits)
        logger.finalize("success")


def _metrics(logger: Logger, record: dict[str, Any]) -> list[dict[str, float]]:
    return [{f"hp/{n}": record[n] for n in METRICS}] if isinstance(logger, TensorBoardLogger) else []


def _pictures(logger: TensorBoardLogger, record: dict[str, Any], model: Classifier, splits: Splits) -> None:
    board, step = logger.experiment, record["iterations"]
    for layer, density in record["layers"].items():
        board.add_scalar(f"weights/density {layer.removesuffix('.weight')}", density, record["round"])
    board.add_text("layers", table.layers(record), record["round"])
    board.add_figure("test/confusion", figures.confusion(np.array(record["test_confusion"]), splits.classes), step)
    given = torch.cat(model.predictions).numpy()
    truth = splits.test_images.labels[splits.test]
    wrong = np.flatnonzero(given != truth) if len(given) == len(truth) else []  # a rank sees its share alone
    if len(wrong):
        wrong = wrong[np.linspace(0, len(wrong) - 1, min(16, len(wrong))).astype(int)]  # of all classes, not of the first ones
        images = splits.test_images.images.take(splits.test[wrong])
        titles = [f"{splits.classes[t]}\ntaken for {splits.classes[g]}" for t, g in zip(truth[wrong], given[wrong])]
        board.add_figure("test/misclassified", figures.gallery(images, titles), step)
