"""Arms of an experiment, and the differences of two of them, paired by seed."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from lth.analysis import ends, statistics
from lth.analysis.statistics import Mean
from lth.tree.record import Record

STOP = "early_stop_iteration"
NOT_SHOWN = "not shown"

Arm = dict[int, Record]  # seed -> record
Key = tuple[str, str, int, str]  # recipe, step ('' if dense), round, control ('' if none): what replicates of an arm share


def arms(records: Iterable[Record]) -> dict[Key, Arm]:
    """Group records by arm, in their order."""
    groups: dict[Key, Arm] = {}
    for record in records:
        groups.setdefault((record.recipe, record.step, record.round, record.control or ""), {})[record.seed] = record
    return groups


def first(arm: Arm) -> Record:
    """Return the first record of an arm: what replicates share can be read from it."""
    return next(iter(arm.values()))


@dataclass(frozen=True)
class Comparison:
    """A ticket less another arm, over the seeds that both have."""

    epochs: int  # of the other arm
    density: float  # of the other arm's first record
    seeds: list[int]
    dropped: list[int]  # seeds that are in one arm alone
    censored: int  # of the 2n rounds, those with their early stop in their last validation
    speed: bool  # whether early stops are compared: every one was seen, and the ticket was trained in isolation
    accuracy: Mean
    iterations: Mean  # of early stop; fewer is better
    other_stop: float  # the other arm's mean early-stop iteration

    @property
    def accuracy_verdict(self) -> str:
        """'better', 'worse' or 'not shown', by the two-sided interval without a margin."""
        low, high = self.accuracy.interval or (-1, 1)
        return "better" if low > 0 else "worse" if high < 0 else NOT_SHOWN

    @property
    def iterations_verdict(self) -> str:
        """The same of early stop."""
        low, high = (self.speed and self.iterations.interval) or (-1, 1)
        return "better" if high < 0 else "worse" if low > 0 else NOT_SHOWN


def compare(ticket: Arm, other: Arm, end: str) -> Comparison:
    """Pair two arms that share a seed; ``end`` is the field of the score that is compared."""
    seeds, dropped = sorted(ticket.keys() & other.keys()), sorted(ticket.keys() ^ other.keys())
    one, two = [ticket[seed] for seed in seeds], [other[seed] for seed in seeds]
    censored = ends.censored(one + two)
    return Comparison(
        epochs=first(other).epochs,
        density=first(other).density,
        seeds=seeds,
        dropped=dropped,
        censored=censored,
        speed=not censored and first(ticket).isolated,
        accuracy=_difference(one, two, end),
        iterations=_difference(one, two, STOP),
        other_stop=fmean(record.early_stop_iteration for record in two),
    )


def _difference(one: Sequence[Record], two: Sequence[Record], field: str) -> Mean:
    """Compute ``one`` less ``two`` in a field.

    Two seeds may differ by exactly as much, since scores go in steps: of an image, of a validation. The difference of two
    rounded values has a standard deviation of a step / sqrt(6), which is taken where that of the values is smaller.
    """
    values = [getattr(a, field) - getattr(b, field) for a, b in zip(one, two, strict=True)]
    step = 0.0
    if field == STOP:  # the greatest common divisor is a multiple of the validation interval
        step = min(math.gcd(*(r.early_stop_iteration for r in (*one, *two))), one[0].iterations / one[0].epochs)
    elif one[0].score == "acc" and one[0].images.get("test"):
        step = 1 / one[0].images["test"]
    return statistics.mean(values, step / math.sqrt(6))
