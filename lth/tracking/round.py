"""What a round's loggers get once, after its test."""

import json
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from lth.analysis import table
from lth.config import ALLOCATIONS, CONTROLS, CRITERIA, RETRAIN
from lth.data.split import Splits
from lth.models.classifier import Classifier
from lth.report import details, draw
from lth.tracking import loggers as kinds

# What does not apply to a round has a value, too: TensorBoard takes the columns and filters of all rounds from one of them.
HPARAMS = {
    "model": "", "finetune": "", "data": "", "seed": 0, "epochs": 0, "round": 0, "control": "none", "density": 1.0, "rate": 0.0,
    "criterion": "none", "allocation": "none", "rewind": "none", "retrain": "none",
}  # fmt: skip
DOMAINS = {  # what the HPARAMS tab offers as boxes to tick
    name: ["none", *choices]
    for name, choices in {"control": CONTROLS, "criterion": CRITERIA, "allocation": ALLOCATIONS, "retrain": RETRAIN}.items()
}
METRICS = (
    "early_stop_test_acc", "early_stop_iteration", "test_acc", "val_acc", "train_acc", "best_test_acc", "effective_density",
    "speedup",
)  # fmt: skip


def show(loggers: list[Logger], record: dict[str, Any], model: Classifier, splits: Splits) -> None:
    """Hyperparameters with the scores; to TensorBoard layers, configuration, confusion matrix and misclassified images, too."""
    params = {name: record[name] if record[name] is not None else other for name, other in HPARAMS.items()}
    scores = {f"hp/{name}": record[name] for name in METRICS if record.get(name) is not None}
    for logger in loggers:
        logger.log_hyperparams(params)
        if not isinstance(logger, CSVLogger):  # whose file is a table of epochs
            logger.log_metrics(scores, record["iterations"])
        if isinstance(logger, TensorBoardLogger):
            for summary in hparams(params, scores, DOMAINS):
                logger.experiment._get_file_writer().add_summary(summary)
            _pictures(logger, record, model, splits)
        kinds.close(logger)


def _pictures(logger: TensorBoardLogger, record: dict[str, Any], model: Classifier, splits: Splits) -> None:
    board, step = logger.experiment, record["iterations"]
    board.add_text("layers", table.layers(record), record["round"])
    board.add_text("configuration", _configuration(record), record["round"])
    counts = np.array(record["test_confusion"])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    board.add_figure("test/confusion", draw.draw(details.confusion(shares, splits.classes)), step)
    given = torch.cat(model.predictions).numpy()
    truth = splits.test_images.labels[splits.test]
    wrong = np.flatnonzero(given != truth) if len(given) == len(truth) else []  # a rank sees its share alone
    if len(wrong):
        wrong = wrong[np.linspace(0, len(wrong) - 1, min(16, len(wrong))).astype(int)]  # of all classes, not of the first ones
        images = splits.test_images.images.take(splits.test[wrong])
        titles = [f"{splits.classes[t]}\ntaken for {splits.classes[g]}" for t, g in zip(truth[wrong], given[wrong])]
        board.add_figure("test/misclassified", draw.gallery(images, titles), step)


def _configuration(record: dict[str, Any]) -> str:
    """Markdown: what determines the round (fields at their default are left out), and the command that trained it."""
    determined = json.dumps(record["determined_by"], indent=2).replace("\n", "\n    ")
    return f"Key {record['key']}, by what is not at its default:\n\n    {determined}\n\nCommand:\n\n    lth {record['command']}"
