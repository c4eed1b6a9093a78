"""Intervals and tests for a few seeds.

Differences are per seed, so what a seed does to both arms cancels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

import numpy as np
from scipy import stats

ALPHA, POWER, MOST = 0.05, 0.8, 20  # of a one-sided test; its chance; seeds that are ever asked for


@dataclass(frozen=True)
class Mean:
    """The mean of n values and their standard deviation (n - 1), None with one value."""

    value: float
    deviation: float | None
    n: int

    @cached_property
    def bounds(self) -> tuple[float, float] | None:
        """The one-sided 95% lower and the one-sided 95% upper t bound of the mean."""
        return self._interval(0.90)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The two-sided 95% t interval of the mean."""
        return self._interval(0.95)

    def _interval(self, level: float) -> tuple[float, float] | None:
        if self.deviation is None:
            return None
        low, high = stats.t.interval(level, self.n - 1, self.value, self.deviation / math.sqrt(self.n))
        return float(low), float(high)

    def p_above(self, bound: float) -> float:
        """Return the one-sided p value of a t test that the true mean is above ``bound``; n is 2 or more."""
        return float(stats.t.sf((self.value - bound) * math.sqrt(self.n) / self.deviation, self.n - 1))


def mean(values: Sequence[float], least: float = 0.0) -> Mean:
    """Return the mean of values; ``least`` is the smallest standard deviation that is believed."""
    deviation = max(stdev(values), least, 1e-12) if len(values) > 1 else None
    return Mean(fmean(values), deviation, len(values))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, in the same order (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    order = np.argsort(p_values)
    corrected = np.ones(len(p_values))
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected.tolist()


def seeds_for(effect: float, sd: float, n: int, tests: int = 1) -> int:
    """Return how many seeds above ``n``, as a rule at most MOST, a one-sided t test needs to show ``effect``.

    ``effect`` is a mean difference less its bound, ``sd`` their standard deviation; p values are multiplied by ``tests``.
    """
    for more in range(n + 1, MOST):
        critical = stats.t.ppf(1 - ALPHA / tests, more - 1)
        # not a number where the effect is beyond doubt
        if not stats.nct.sf(critical, more - 1, effect * math.sqrt(more) / sd) < POWER:
            return more
    return max(n + 1, MOST)
