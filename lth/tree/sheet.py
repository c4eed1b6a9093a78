"""results.csv: a row a round, fractions from 0 to 1, seconds; what a sweep varied by dotted keys of the configuration."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from lth.tree import settings

COLUMNS = (
    "key", "parent", "round", "control", "name", "model", "finetune", "data", "seed", "rate", "levels",
    "criterion", "allocation", "rewind", "retrain", "pretrained", "epochs", "kept", "prunable", "density",
    "effective_density", "model_density",
    "early_stop_test_acc", "early_stop_iteration", "censored", "early_stop_epoch", "early_stop_train_loss",
    "early_stop_train_acc", "early_stop_val_loss", "early_stop_val_acc",
    "train_acc", "val_acc", "test_acc", "best_epoch", "best_iteration", "best_train_acc", "best_val_acc", "best_test_acc",
    "iterations", "parameters", "flops",
    "flops_remaining", "speedup", "seconds", "images_per_second", "recipe", "step", "command", "barrier",
)  # fmt: skip


def comma_separated(records: Sequence[Mapping[str, Any]]) -> str:
    """The records as a CSV file."""
    keys = settings.varied(records)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *keys], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**record, **{key: settings.setting(record, key) for key in keys}} for record in records)
    return text.getvalue()
