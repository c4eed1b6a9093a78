import pytest

from lth.analysis.statistics import holm, mean, seeds_for


def test_intervals_by_hand():
    # of 1, 2, 3: mean 2, deviation 1, so 2 ± t(2 degrees) / sqrt(3); t from Abramowitz & Stegun 1964, table 26.10
    m = mean([1, 2, 3])
    assert m.interval == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    assert m.bounds == pytest.approx((2 - 2.920 / 3**0.5, 2 + 2.920 / 3**0.5), abs=1e-3)
    assert (m.p_above(m.bounds[0]), m.p_above(m.bounds[1])) == pytest.approx((0.05, 0.95))


def test_holm_by_the_book():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert (holm([0.5, 0.9]), holm([])) == ([1.0, 1.0], [])


def test_the_number_of_seeds_by_the_book():
    # R: power.t.test(delta = 1, sd = 1, power = 0.8, type = "paired", alternative = "one.sided") gives 7.7
    assert seeds_for(1, 1, 2) == 8
    assert seeds_for(1, 1, 2, tests=5) > 8
    assert seeds_for(1, 1, 10) == 11, "more than there are"
    assert seeds_for(0.001, 1, 3) == 20, "and not more than 20"
    assert seeds_for(1, 1e-12, 3) == 4
