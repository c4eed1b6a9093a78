"""Arms of an experiment, paired by seed: a ticket less its dense network and less its controls."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from lth.analysis import ends, statistics
from lth.analysis.compare import IN_ACCURACY, NOT_SHOWN, at_most
from lth.analysis.statistics import Mean
from lth.tree.record import Record

STOP = "early_stop_iteration"

Arm = dict[int, Record]  # seed -> record
Key = tuple[str, str, int, str]  # recipe, step, round, control: what replicates of an arm share


def arms(records: Iterable[Record]) -> dict[Key, Arm]:
    """Group records by arm, in their order; a dense network's step is '', and so is the control of what is no control."""
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

    control: str  # of the other arm; '' for the dense network, 'dense' for the one that trained as long as the ticket's chain
    epochs: int  # of the other arm
    seeds: list[int]
    dropped: list[int]  # seeds that are in one arm alone
    censored: int  # of the 2n rounds, those with their early stop in their last validation
    speed: bool  # whether early stops are compared: every one was seen, and the ticket does not start trained
    accuracy: Mean
    iterations: Mean  # of early stop; fewer is better
    other_stop: float | None  # the other arm's mean early-stop iteration

    @property
    def accuracy_verdict(self) -> str:
        """'better', 'worse' or 'not shown', by the two-sided interval without a margin."""
        return _sign(self.accuracy.interval)

    @property
    def iterations_verdict(self) -> str:
        """The same of early stop."""
        return _sign(self.iterations.interval and [-bound for bound in self.iterations.interval]) if self.speed else NOT_SHOWN


def _sign(interval: Iterable[float] | None) -> str:
    low, high = sorted(interval or (-1, 1))
    return "better" if low > 0 else "worse" if high < 0 else NOT_SHOWN


def compare(ticket: Arm, other: Arm, end: str, control: str = "") -> Comparison:
    """Pair two arms by seed; ``end`` is the field of the score that is compared."""
    seeds, dropped = sorted(ticket.keys() & other.keys()), sorted(ticket.keys() ^ other.keys())
    one, two = [ticket[seed] for seed in seeds], [other[seed] for seed in seeds]
    censored, epochs = ends.censored(one + two), first(other).epochs if other else 0
    speed = not censored and at_most(first(ticket)) != IN_ACCURACY
    stop = fmean(record.early_stop_iteration for record in two) if two else None
    gain, delay = _difference(one, two, end), _difference(one, two, STOP)
    return Comparison(control, epochs, seeds, dropped, censored, speed, gain, delay, stop)


def _difference(one: list[Record], two: list[Record], field: str) -> Mean:
    """Compute ``one`` less ``two`` in a field.

    Two seeds may differ by exactly as much, since scores go in steps: of an image, of a validation. The difference of two
    rounded values has a standard deviation of a step / sqrt(6), which is taken where that of the values is smaller.
    """
    values = [getattr(a, field) - getattr(b, field) for a, b in zip(one, two)]
    return statistics.mean(values, _step(field, one + two) / math.sqrt(6) if values else 0.0)


def _step(field: str, records: list[Record]) -> float:
    """Return the step in which a field is measured; 0 for a score that is no count of images."""
    record = records[0]
    if field == STOP:  # the greatest common divisor is a multiple of the validation interval
        return min(math.gcd(*(r.early_stop_iteration for r in records)), record.iterations / record.epochs)
    images = record.images.get("test") if record.score == "acc" else None
    return 1 / images if images else 0.0


def matched(ticket: Arm, dense: Arm, candidates: Iterable[Arm]) -> Arm:
    """Return the compute-matched ones of some dense networks; empty where none shares a seed with the ticket.

    They are of the ticket's family and trained for as many epochs as its chain, or the fewest more.
    """
    if not dense:
        return {}
    record = first(ticket)
    needed = first(dense).epochs + record.round * record.epochs
    alike = [arm for arm in candidates if first(arm).family == record.family and ticket.keys() & arm.keys()]
    longer = [arm for arm in alike if first(arm).epochs >= needed]
    return min(longer, key=lambda arm: first(arm).epochs, default={})
