"""Intervals and tests for a few seeds, by scipy, which is imported on first use: it costs most of a second.

Differences are per seed (the ticket's score less the dense network's, same seed), so what a seed does to both cancels.
"""

import math
from collections.abc import Sequence

ALPHA, POWER, MOST = 0.05, 0.8, 20  # of a one-sided test; a chance worth training for; seeds that are ever asked for


def t_interval(mean: float, sd: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the two-sided t interval of the mean of n >= 2 values.

    Args:
        sd: the standard deviation (n - 1) of the values.
        level: in (0, 1); the ends of 0.90 are the one-sided 95% bounds.
    """
    from scipy import stats

    half = float(stats.t.ppf((1 + level) / 2, n - 1)) * sd / math.sqrt(n)
    return mean - half, mean + half


def p_above(mean: float, sd: float, n: int, bound: float) -> float:
    """Return the one-sided p value of a t test that the true mean of n >= 2 values is above ``bound``; 0 or 1 where sd is 0."""
    if sd == 0:
        return 0.0 if mean >= bound else 1.0
    from scipy import stats

    return float(stats.t.sf((mean - bound) * math.sqrt(n) / sd, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, in the same order (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    corrected, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected


def seeds_for(effect: float, sd: float, n: int, tests: int = 1) -> int:
    """Return how many seeds, above ``n`` and at most MOST, a one-sided paired t test needs to show ``effect`` > 0 with POWER.

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
    """Return the 95% interval of a fraction from ``successes`` of ``n`` > 0 trials (Wilson 1927, JASA 22:209): within [0, 1]."""
    from scipy import stats

    interval = stats.binomtest(round(successes), n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
