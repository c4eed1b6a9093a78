"""End points: where in a round's training its test accuracy is read. Imports nothing of lth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EARLY_STOP = "early_stop_test_acc"


@dataclass(frozen=True)
class End:
    """``word`` chooses it on the command line; ``said`` follows "test accuracy"; ``val`` is its validation accuracy's field."""

    word: str
    said: str
    val: str


ENDS = {  # field of a record -> end point
    EARLY_STOP: End("early_stop", "at early stop", "early_stop_val_acc"),
    "test_acc": End("last", "at the last epoch", "val_acc"),
    "best_test_acc": End("best", "at best validation accuracy", "best_val_acc"),
}
WORDS = {end.word: field for field, end in ENDS.items()}


def seeds(counts: Sequence[int]) -> str:
    """Over how many seeds means are taken, where points have ``counts`` of them: 'mean over 2 to 3 seeds', or '1 seed'."""
    least, most = min(counts, default=0), max(counts, default=0)
    if most <= 1:
        return "1 seed"
    return f"mean over {most if least == most else f'{least} to {most}'} seeds"


def title(accuracy: str) -> str:
    """What a table or an axis calls an accuracy."""
    return f"test accuracy {ENDS[accuracy].said}"


def censored(records: Sequence[dict[str, Any]]) -> int:
    """How many of the rounds had their lowest validation loss in their last validation, so that it may lie beyond."""
    return sum(bool(record.get("censored")) for record in records)
