"""Intervals for a few seeds, by textbook formulas; no scipy.

Differences are per seed (the ticket's score less the dense network's, same seed), so what a seed does to both cancels.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

# Student's t, Abramowitz & Stegun 1964, Handbook of Mathematical Functions, table 26.10; degrees of freedom 1 to 30.
T95 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812,
       1.796, 1.782, 1.771, 1.761, 1.753, 1.746, 1.740, 1.734, 1.729, 1.725,
       1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697)  # fmt: skip
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
        2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip
TABLE = {0.95: T95, 0.975: T975}


def t_quantile(p: float, df: int) -> float:
    """The p-quantile of Student's t with ``df`` >= 1 degrees of freedom; p is 0.95 or 0.975. To 3 decimals.

    Up to 30 degrees from the table, beyond by the normal and its first two corrections (Abramowitz & Stegun, 26.7.5).

    Raises:
        ValueError: for another p, or df below 1.
    """
    p = round(p, 6)
    if p not in TABLE or df < 1:
        raise ValueError(f"no t quantile for p={p:g} with df={df}: p is 0.95 or 0.975, df 1 or more.")
    if df <= len(TABLE[p]):
        return TABLE[p][df - 1]
    z = NormalDist().inv_cdf(p)
    return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)


def mean_interval(values: Sequence[float], level: float = 0.95, least: float = 0.0) -> tuple[float, float]:
    """The two-sided t interval of a mean, (lower, upper); infinite for one value.

    Args:
        values: one or more, independent.
        level: 0.95, or 0.90, whose ends are the one-sided 95% bounds.
        least: the standard deviation of a value by the way it is measured alone; a smaller one of few values is chance.

    Raises:
        ValueError: without values, or for another level.
    """
    return _interval(values, (1 + level) / 2, least)


def paired_bounds(differences: Sequence[float], least: float = 0.0) -> tuple[float, float]:
    """The one-sided 95% lower and the one-sided 95% upper t bound of a mean difference, see ``mean_interval``."""
    return mean_interval(differences, 0.90, least)


def _interval(values: Sequence[float], p: float, least: float) -> tuple[float, float]:
    if not values:
        raise ValueError("no values, so no interval.")
    if len(values) == 1:
        return -math.inf, math.inf
    half = t_quantile(p, len(values) - 1) * max(stdev(values), least) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def wilson(successes: float, n: int) -> tuple[float, float]:
    """The 95% interval of a fraction from ``successes`` of ``n`` > 0 trials (Wilson 1927, JASA 22:209): within [0, 1]."""
    z, share = NormalDist().inv_cdf(0.975), successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)
