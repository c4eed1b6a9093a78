"""End points, where in a round's training its test score is read, and how scores are printed.

A score is an accuracy (``acc``) unless the records name another one; larger is better.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

EARLY_STOP = "early_stop_test_acc"


class End(NamedTuple):
    """``word`` chooses it on the command line; ``said`` follows "test accuracy"; ``val`` is the field of its validation score."""

    word: str
    said: str
    val: str


ENDS = {  # field of a record -> end point
    EARLY_STOP: End("early_stop", "at early stop", "early_stop_val_acc"),
    "test_acc": End("last", "at the last epoch", "val_acc"),
    "best_test_acc": End("best", "at best validation accuracy", "best_val_acc"),
}
WORDS = {end.word: field for field, end in ENDS.items()}


def score(records: Sequence[Any]) -> str:
    """Return the score that records have in common, such as ``acc``; 'score' where they differ."""
    names = {record.score for record in records} or {"acc"}
    return names.pop() if len(names) == 1 else "score"


def word(score: str) -> str:
    """Return what sentences call a score."""
    return "accuracy" if score == "acc" else score


def title(end: str, score: str = "acc") -> str:
    """Return what a table or an axis calls a test score at an end point: 'test accuracy at early stop'."""
    return f"test {word(score)} {ENDS[end].said.replace('accuracy', word(score))}"


def scale(score: str) -> tuple[int, str]:
    """Return factor and unit of printed differences: percentage points of accuracies, else 1."""
    return (100, " pp") if score == "acc" else (1, "")


def seeds(counts: Sequence[int]) -> str:
    """Return over how many seeds means are taken: 'mean over 2 to 3 seeds', or '1 seed'."""
    least, most = min(counts, default=0), max(counts, default=0)
    if most <= 1:
        return "1 seed"
    return f"mean over {most if least == most else f'{least} to {most}'} seeds"


def censored(records: Sequence[Any]) -> int:
    """Count the rounds that had their lowest validation loss in their last validation."""
    return sum(record.censored for record in records)
