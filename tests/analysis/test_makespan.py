"""Times of a sweep, by hand."""

import math

import pytest

from lth.analysis.makespan import critical_path, measure, rows, sweeps
from lth.tree.attempts import Attempt


def ran(key: str, begin: float, end: float, parent: str = "", worker: str = "", attempt: int = 1, exit: int = 0) -> Attempt:
    return Attempt(key, parent, worker, begin, end, attempt, exit)


def test_a_sweep_by_hand():
    # two workers: a (4 s), then its children b (3 s) and c (2 s); another dense network d (3 s) beside a
    sweep = [ran("a", 10, 14), ran("d", 10, 13), ran("b", 14, 17, "a"), ran("c", 14.5, 16.5, "a")]
    m = measure(sweep)
    assert (m.makespan, m.total, m.critical_path, m.workers) == (7, 12, 7, 2)
    assert m.ratio == 7 / max(7, 12 / 2)
    assert measure(sweep, workers=1).ratio == 7 / 12, "as if there had been one worker"
    assert measure(list(reversed(sweep))) == m, "in any order"


def test_a_waiting_worker_costs():
    assert measure([ran("a", 0, 4), ran("b", 6, 10, "a")]).ratio == 10 / 8
    assert math.isnan(measure([ran("a", 5, 5)]).ratio)


def test_all_attempts_of_a_round_are_on_its_chain_and_no_second_counts_twice():
    tried = [ran("a", 0, 3, exit=-9), ran("a", 3, 8, attempt=2), ran("b", 8, 9, "a")]
    assert critical_path(tried) == 9
    assert critical_path([*tried, ran("a", 4, 5, exit=69)]) == 9, "another driver looked whether a was finished"
    assert critical_path([*tried, ran("a", 8.5, 10)]) == 9, "another driver found a finished while b was trained"
    assert measure([ran("a", 0, 4), ran("b", 4, 10, "a"), ran("a", 5, 6)]).ratio == 1
    assert critical_path([ran("b", 8, 9, "gone")]) == 1
    assert critical_path([ran("a", 0, 1, "b"), ran("b", 0, 1, "a")]) == 2, "a damaged file ends, too"


def test_rows_are_as_few_as_can_be():
    some = [ran("a", 0, 5), ran("b", 1, 2), ran("c", 2, 3), ran("d", 2, 6), ran("e", 5, 6), ran("f", 6, 6)]
    assert rows(some) == [0, 1, 1, 2, 0, 0]
    assert measure(some).workers == 3
    assert rows([]) == []


@pytest.mark.parametrize("gap", [599, 601])
def test_another_sweep_begins_where_nothing_ran_for_ten_minutes(gap):
    one = [ran("a", 0, 1000), ran("b", 0, 1)]
    two = [ran("c", 1000 + gap, 2000)]
    assert sweeps([*two, *one]) == ([one, two] if gap > 600 else [one + two])


def test_times_that_cannot_be_are_left_out():
    times = [(5, 4), (math.nan, 4), (1, math.inf), (1, math.nan), (1, 1e300), (-1, 1)]
    assert sweeps([ran("a", begin, end) for begin, end in times]) == []
