"""A ticket against another arm: what paired t tests show."""

from dataclasses import dataclass
from typing import Any

from lth.analysis import naming, pairs
from lth.analysis.pairs import Arm, Difference
from lth.analysis.statistics import ALPHA, mean_interval, p_above, paired_bounds

WINNING, MATCHING, IN_ACCURACY = "winning", "matching", "matching in accuracy"
NOT_WINNING, NOT_MATCHING, NOT_SHOWN = "not winning", "not matching", "not shown"
POSITIVE = (WINNING, MATCHING, IN_ACCURACY)
CALLED = {WINNING: "winning ticket", MATCHING: "matching subnetwork", IN_ACCURACY: "subnetwork that matches in accuracy"}


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
    iterations_verdict: str  # NOT_SHOWN, too, where an early stop is censored or the ticket starts trained


def at_most(ticket: dict[str, Any], dense: dict[str, Any]) -> str:
    """What a ticket may be called at most, by the weights that it starts from.

    Only weights rewound to a random initialisation can be a winning ticket (Frankle & Carbin 2019); from a later checkpoint
    or from pretrained weights they are a matching subnetwork (Frankle et al. 2020, arXiv 1912.05671). A fine-tuned or
    learning-rate-rewound network starts trained, so how soon it stops says nothing: its accuracy alone is compared.
    """
    if (ticket.get("retrain") or "rewind") != "rewind":
        return IN_ACCURACY
    later = (ticket.get("rewind") or "init") != "init"
    return MATCHING if later or ticket.get("pretrained") or dense.get("pretrained") else WINNING


def p_value(
    name: str, accuracy: Difference, margin: float, iterations: Difference, allowed: float, censored: int
) -> float | None:
    """The p value of "no less accurate and no later": the larger of both one-sided ones (intersection-union test).

    None where there are less than two pairs, 1 where early stop is to be compared and is censored.

    Args:
        name: what ``at_most`` says.
    """
    if accuracy.deviation is None or iterations.deviation is None:
        return None
    accurate = p_above(accuracy.mean, accuracy.deviation, accuracy.n, -margin)
    if name == IN_ACCURACY:
        return accurate
    return 1.0 if censored else max(accurate, p_above(-iterations.mean, iterations.deviation, iterations.n, -allowed))


def against_dense(
    name: str, accuracy: Difference, margin: float, iterations: Difference, allowed: float, censored: int, corrected: float | None
) -> str:
    """``name``, NOT_WINNING, NOT_MATCHING or NOT_SHOWN.

    Args:
        name: what ``at_most`` says.
        margin: the loss of accuracy that still counts as none.
        allowed: the delay of early stop, in iterations, that still counts as none.
        censored: rounds among those compared whose early stop was not seen: then no speed is compared.
        corrected: the p value of ``p_value``, corrected for the densities of the chain.
    """
    if corrected is None or accuracy.bounds is None or iterations.bounds is None:
        return NOT_SHOWN
    later = name != IN_ACCURACY and not censored and iterations.bounds[0] > allowed
    if accuracy.bounds[1] < -margin or later:
        return NOT_WINNING if name == WINNING else NOT_MATCHING
    return name if corrected <= ALPHA else NOT_SHOWN


def against_matched(ticket: Arm, longer: Arm, accuracy: str, margin: float) -> Matched | None:
    """A ticket against its compute-matched dense networks, None without any."""
    if not longer:
        return None
    gain = pairs.difference(ticket, longer, accuracy, paired_bounds)
    worst, best = gain.bounds or (-1.0, 1.0)
    verdict = "worse" if best < -margin else "no worse" if worst > -margin else NOT_SHOWN
    return Matched(next(iter(longer.values()))["epochs"], *pairs.shared(ticket, longer), gain, verdict)


def against_control(ticket: Arm, other: Arm, accuracy: str) -> Control:
    """A ticket against a control of its own."""
    first = next(iter(other.values()))
    gain = pairs.difference(ticket, other, accuracy, mean_interval)
    delay = pairs.difference(ticket, other, "early_stop_iteration", mean_interval)
    seeds, dropped = pairs.shared(ticket, other)
    unseen = pairs.unended(*({seed: arm[seed] for seed in seeds} for arm in (ticket, other)))
    started = at_most(next(iter(ticket.values())), {}) == IN_ACCURACY
    sooner = NOT_SHOWN if unseen or started else _sign(delay, -1)
    return Control(naming.control(first), seeds, dropped, gain, _sign(gain), delay, sooner)


def _sign(difference: Difference, good: int = 1) -> str:
    low, high = sorted(good * bound for bound in difference.bounds or (-1.0, 1.0))
    return "better" if low > 0 else "worse" if high < 0 else NOT_SHOWN
