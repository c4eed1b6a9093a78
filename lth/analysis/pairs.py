"""Arms of an experiment, paired by seed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from lth.analysis import ends, naming, statistics

Arm = dict[int, dict[str, Any]]  # seed -> record
Key = tuple[str, str, int, str]  # recipe, step, round, control: what replicates of an arm share


@dataclass(frozen=True)
class Difference:
    """A mean difference over n pairs, its interval and the standard deviation that this is by.

    None where there are too few pairs: none for the mean, one for the others.
    """

    mean: float | None = None
    lower: float | None = None
    upper: float | None = None
    deviation: float | None = None
    n: int = 0

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of the interval, if there is one."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)


def arms(records: Sequence[dict[str, Any]]) -> dict[Key, Arm]:
    """The arms of a list of records, in its order; a dense network's step and control are ''."""
    found: dict[Key, Arm] = {}
    for record in records:
        key = (record["recipe"], record["step"], record["round"], naming.control(record))
        found.setdefault(key, {})[record["seed"]] = record
    return found


def shared(one: Arm, other: Arm) -> tuple[list[int], list[int]]:
    """The seeds in both arms, and those in one of them alone."""
    return sorted(one.keys() & other.keys()), sorted(one.keys() ^ other.keys())


def unended(*found: Arm) -> int:
    """How many rounds of some arms stopped at their last validation: their early stop is censored."""
    return ends.censored([record for arm in found for record in arm.values()])


def difference(one: Arm, other: Arm, field: str, interval: Callable[..., tuple[float, float]]) -> Difference:
    """``one`` less ``other`` in a field, seed by seed, with an interval of its mean.

    Two seeds may differ by exactly as much, since scores go in steps: of an image, of a validation. The difference of two
    rounded values has a standard deviation of a step / sqrt(6), and no less is believed.
    """
    pairs = [(one[seed], other[seed]) for seed in shared(one, other)[0]]
    values = [a[field] - b[field] for a, b in pairs]
    if len(values) < 2:
        return Difference(values[0] if values else None, n=len(values))
    least = _grain(field, pairs) / math.sqrt(6)
    return Difference(fmean(values), *interval(values, least=least), statistics.deviation(values, least), len(values))


def _grain(field: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """The step in which a field is measured; 0 where that is not on record."""
    first, _ = pairs[0]
    if field != "early_stop_iteration":
        return 1 / n if (n := (first.get("images") or {}).get("test")) else 0.0
    if not first.get("iterations") or not first.get("epochs"):
        return 0.0
    common = math.gcd(*(int(record[field]) for pair in pairs for record in pair))  # a multiple of the validation interval
    return min(common, first["iterations"] / first["epochs"])


def chain_epochs(ticket: dict[str, Any], dense: dict[str, Any]) -> int | None:
    """The epochs that finding and training a ticket took in all, its dense network's included; None for older records."""
    if ticket.get("epochs") is None or dense.get("epochs") is None:
        return None
    return dense["epochs"] + ticket["round"] * ticket["epochs"]


def matched(ticket: Arm, dense: Arm, found: dict[Key, Arm]) -> Arm:
    """The compute-matched dense networks: of the ticket's family, trained for as many epochs as its chain, or the fewest more.

    Empty where no such network shares a seed with the ticket.
    """
    first = next(iter(ticket.values()))
    needed = chain_epochs(first, next(iter(dense.values()), {}))
    longer = []
    for (_, _, index, _), arm in found.items():
        other = next(iter(arm.values()))
        enough = needed is not None and other.get("epochs") is not None and other["epochs"] >= needed
        if index == 0 and enough and naming.family(other) == naming.family(first) and shared(ticket, arm)[0]:
            longer.append(arm)
    return min(longer, key=lambda arm: next(iter(arm.values()))["epochs"], default={})
