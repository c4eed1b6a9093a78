import math

import numpy as np
import pytest

from lth.results.statistics import TABLE, mean_interval, paired_bounds, t_quantile, wilson


def cumulative(t: float, df: int) -> float:
    """Student's t distribution up to t > 0, by integrating its density."""
    x = np.linspace(0, t, 20001)
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    return 0.5 + float(np.trapezoid(scale * (1 + x**2 / df) ** (-(df + 1) / 2), x))


@pytest.mark.parametrize("p", list(TABLE))
def test_quantiles_are_those_of_students_distribution(p):
    for df in [*range(1, 31), 31, 40, 120, 10000]:
        t = t_quantile(p, df)
        assert cumulative(t - 0.001, df) < p < cumulative(t + 0.001, df), df


def test_known_quantiles():
    assert t_quantile(0.95, 2) == 2.920
    assert t_quantile(0.975, 4) == 2.776
    assert t_quantile(0.975, 60) == pytest.approx(2.000, abs=5e-4)
    for p, df in ((0.9, 3), (0.95, 0)):
        with pytest.raises(ValueError, match="no t quantile"):
            t_quantile(p, df)


def test_intervals_by_hand():
    # of 1, 2, 3: mean 2, deviation 1, so 2 ± t / sqrt(3)
    assert mean_interval([1, 2, 3]) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert paired_bounds([1, 2, 3]) == pytest.approx((2 - 2.920 / 3**0.5, 2 + 2.920 / 3**0.5))
    assert mean_interval([1, 2, 3], 0.9) == paired_bounds([1, 2, 3])


def test_intervals_at_the_edge():
    assert paired_bounds([0.25] * 3) == (0.25, 0.25)
    assert paired_bounds([2] * 3, least=1) == pytest.approx(paired_bounds([1, 2, 3]))
    assert mean_interval([1, 2, 3], least=0.9) == mean_interval([1, 2, 3])
    assert paired_bounds([0.25]) == (-math.inf, math.inf)
    with pytest.raises(ValueError, match="no values"):
        paired_bounds([])


def test_wilson_by_the_book():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
