"""A ticket against another arm: what paired t intervals show."""

from dataclasses import dataclass

from lth.results import pairs
from lth.results.pairs import Arm, Difference
from lth.results.statistics import mean_interval, paired_bounds

WINNING, NOT_WINNING, NOT_SHOWN = "winning", "not winning", "not shown"


@dataclass(frozen=True)
class Matched:
    """A ticket less the dense network that trained as long as the ticket's whole chain: accuracy alone."""

    epochs: int
    seeds: list[int]
    dropped: list[int]  # seeds that are in one arm alone
    accuracy: Difference  # fraction, one-sided 95% bounds
    verdict: str  # 'no worse', 'worse', 'not shown'


@dataclass(frozen=True)
class Control:
    """A ticket less one of its controls: 'better', 'worse' or 'not shown', by two-sided 95% intervals without a margin."""

    control: str
    seeds: list[int]
    dropped: list[int]
    accuracy: Difference  # fraction
    accuracy_verdict: str
    iterations: Difference  # of early stop; fewer is better
    iterations_verdict: str


def against_dense(accuracy: Difference, margin: float, iterations: Difference, allowed: float) -> str:
    """WINNING, NOT_WINNING or NOT_SHOWN, from one-sided 95% bounds of the ticket less the dense network.

    Args:
        margin: the loss of accuracy that still counts as none.
        allowed: the delay of early stop, in iterations, that still counts as none.
    """
    if accuracy.bounds is None or iterations.bounds is None:
        return NOT_SHOWN
    (worst, best), (earliest, latest) = accuracy.bounds, iterations.bounds
    if best < -margin or earliest > allowed:
        return NOT_WINNING
    return WINNING if worst > -margin and latest <= allowed else NOT_SHOWN


def against_matched(ticket: Arm, longer: Arm, accuracy: str, margin: float) -> Matched | None:
    """A ticket against its compute-matched dense networks, None without any."""
    if not longer:
        return None
    gain = pairs.difference(ticket, longer, accuracy, paired_bounds)
    worst, best = gain.bounds or (-1.0, 1.0)
    verdict = "worse" if best < -margin else "no worse" if worst > -margin else NOT_SHOWN
    return Matched(next(iter(longer.values()))["epochs"], *pairs.shared(ticket, longer), gain, verdict)


def against_control(ticket: Arm, other: Arm, name: str, accuracy: str) -> Control:
    """A ticket against a control of its own."""
    gain = pairs.difference(ticket, other, accuracy, mean_interval)
    delay = pairs.difference(ticket, other, "early_stop_iteration", mean_interval)
    return Control(name, *pairs.shared(ticket, other), gain, _sign(gain), delay, _sign(delay, -1))


def _sign(difference: Difference, good: int = 1) -> str:
    low, high = sorted(good * bound for bound in difference.bounds or (-1.0, 1.0))
    return "better" if low > 0 else "worse" if high < 0 else NOT_SHOWN
