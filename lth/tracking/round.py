"""What the loggers of a round get once, after its test."""

from typing import Any

import numpy as np
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from lth.analysis import table
from lth.data.split import Splits
from lth.report import details, draw
from lth.tree.record import Record

HPARAMS = (
    "model", "finetune", "data", "seed", "epochs", "round", "control", "density", "rate", "criterion", "allocation", "rewind",
    "retrain",
)  # fmt: skip
METRICS = (
    "early_stop_test_acc", "early_stop_iteration", "test_acc", "val_acc", "train_acc", "best_test_acc", "effective_density",
    "speedup",
)  # fmt: skip


def log_round(loggers: list[Logger], record: Record, predicted: np.ndarray | None, splits: Splits | None) -> None:
    """Log hyperparameters and scores; to TensorBoard also layers, confusion matrix and misclassified images.

    Args:
        predicted: class of each test image, in the order of ``splits.test``; None for a task that is no image classification.
        splits: the images; None for other data.
    """
    facts = vars(record)
    # TensorBoard takes the columns of all rounds from one of them: what does not apply to a round has a value, too.
    params = {name: "none" if facts[name] is None else facts[name] for name in HPARAMS} | {"rate": record.rate or 0.0}
    scores = {f"hp/{name}": facts[name] for name in METRICS if facts[name] is not None}
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            if record.layer_flops:
                logger.experiment.add_text("layers", table.layers(record), record.round)
            if record.test_confusion is not None and predicted is not None and splits is not None:
                _pictures(logger.experiment, record, predicted, splits)
            logger.log_hyperparams(params, scores, record.iterations)
        else:
            logger.log_hyperparams(params)
            logger.log_metrics(scores, record.iterations)
        logger.finalize("success")
        if isinstance(logger, WandbLogger):  # or else the next round continues its run
            logger.experiment.finish()


def _pictures(board: Any, record: Record, predicted: np.ndarray, splits: Splits) -> None:
    counts = np.array(record.test_confusion)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    board.add_figure("test/confusion", draw.draw(details.confusion(shares, splits.classes)), record.iterations)
    true = splits.test_images.labels[splits.test]
    wrong = np.flatnonzero(predicted != true) if len(predicted) == len(true) else []  # one rank of several has fewer
    if len(wrong):
        wrong = wrong[np.linspace(0, len(wrong) - 1, min(16, len(wrong))).astype(int)]  # of all classes, not of the first ones
        titles = [f"{splits.classes[t]}\ntaken for {splits.classes[p]}" for t, p in zip(true[wrong], predicted[wrong])]
        images = splits.test_images.take(splits.test[wrong])
        board.add_figure("test/misclassified", draw.gallery(images, titles), record.iterations)
