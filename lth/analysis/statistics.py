"""Intervals and tests for a few seeds, by scipy, which is imported on first use: it costs most of a second.

Differences are per seed (the ticket's score less the dense network's, same seed), so what a seed does to both cancels.
"""

import math
from collections.abc import Sequence
from statistics import fmean, stdev

ALPHA, POWER, MOST = 0.05, 0.8, 20  # of a one-sided test; a chance worth training for; seeds that are ever asked for


def mean_interval(values: Sequence[float], level: float = 0.95, least: float = 0.0) -> tuple[float, float]:
    """The two-sided t interval of a mean, (lower, upper); infinite for one value.

    Args:
        values: one or more, independent.
        level: in (0, 1); the ends of 0.90 are the one-sided 95% bounds.
        least: the standard deviation of a value by the way it is measured alone; a smaller one of few values is chance.

    Raises:
        ValueError: without values.
    """
    if not values:
        raise ValueError("no values, so no interval.")
    if len(values) == 1:
        return -math.inf, math.inf
    from scipy import stats

    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * deviation(values, least) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def deviation(values: Sequence[float], least: float = 0.0) -> float:
    """The standard deviation (n - 1) of two or more values, or ``least`` where that is larger."""
    return max(stdev(values), least)


def paired_bounds(differences: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """The one-sided 95% lower and the one-sided 95% upper t bound of a mean difference, see ``mean_interval``."""
    return mean_interval(differences, 0.90, least)


def p_above(mean: float, sd: float, n: int, bound: float) -> float:
    """The one-sided p value of a paired t test that the true mean is above ``bound``.

    Args:
        mean, sd, n: of n >= 2 differences; without any deviation (sd 0) the p value is 0 or 1.
    """
    if sd == 0:
        return 0.0 if mean >= bound else 1.0
    from scipy import stats

    return float(stats.t.sf((mean - bound) * math.sqrt(n) / sd, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979, Scandinavian Journal of Statistics 6:65): corrected p values, in the same order."""
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def seeds_for(effect: float, sd: float, n: int, tests: int = 1) -> int:
    """How many seeds, above ``n`` and at most MOST, a one-sided paired t test needs.

    It shows ``effect`` > 0 with a chance of POWER.

    Args:
        effect: the mean difference less the bound that it is to be above.
        sd: the standard deviation of the differences.
        tests: by how many its p value is multiplied.
    """
    from scipy import stats

    for more in range(n + 1, MOST):
        critical = stats.t.ppf(1 - ALPHA / tests, more - 1)
        if sd == 0 or stats.nct.sf(critical, more - 1, effect * math.sqrt(more) / sd) >= POWER:
            return more
    return max(n + 1, MOST)


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95% interval of a fraction from ``successes`` of ``n`` > 0 trials (Wilson 1927, JASA 22:209): within [0, 1]."""
    from scipy import stats

    interval = stats.binomtest(round(successes), n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
