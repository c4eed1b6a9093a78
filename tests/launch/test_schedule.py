"""The schedule alone: order, retries, lost rounds, the makespan of invented durations."""

import random
from collections import Counter
from types import SimpleNamespace

import pytest

from lth.launch.graph import Round, costs, paths
from lth.launch.schedule import BUSY, CRASHED, INTERRUPTED, Ended, Schedule, Simulated, makespan


def chain(name: str, length: int, root: str | None = None) -> list[Round]:
    """``a0 -> a1 -> a2``, after ``root`` if it is given."""
    keys = [f"{name}{i}" for i in range(length)]
    return [Round(key, parent) for key, parent in zip(keys, [root, *keys])]


def forest(rng: random.Random, count: int) -> list[Round]:
    """Chains and controls of invented sweeps: a tenth are roots, the others come after an earlier round."""
    keys = [f"r{i}" for i in range(count)]
    return [Round(key, None if rng.random() < 0.1 else keys[rng.randrange(i)] if i else None) for i, key in enumerate(keys)]


def ended(key: str, code: int = 0, end: float = 1.0) -> Ended:
    return Ended(key, "w", 0.0, end, code)


def test_a_path_is_the_longest_chain_of_costs_from_a_round_on():
    rounds = [*chain("a", 3), Round("b", "a0"), Round("c", "a0")]
    assert paths(rounds, {"a0": 1, "a1": 2, "a2": 3, "b": 9, "c": 1}) == {"a0": 10, "a1": 5, "a2": 3, "b": 9, "c": 1}


def test_the_round_with_the_longest_remaining_path_is_next_and_children_wait_for_their_parent():
    rounds = [*chain("short", 1), *chain("long", 3)]
    schedule = Schedule(rounds, (), {r.key: 1 for r in rounds})
    assert [schedule.next(0.0).key for _ in range(2)] == ["long0", "short0"]
    assert schedule.next(0.0) is None
    assert schedule.waiting == 2
    schedule.ended(ended("long0"))
    assert schedule.next(0.0).key == "long1"


def test_finished_rounds_are_not_started():
    schedule = Schedule(chain("a", 3), {"a0", "a1", "of another sweep"}, dict.fromkeys(("a0", "a1", "a2"), 1))
    assert schedule.next(0.0).key == "a2"
    schedule.ended(ended("a2"))
    assert schedule.over
    assert schedule.finished == {"a0", "a1", "a2"}


@pytest.mark.parametrize("code", [-9, CRASHED])
def test_a_round_whose_worker_died_is_tried_again_then_its_subtree_is_lost_and_the_rest_goes_on(code):
    rounds = [*chain("a", 2), Round("control", "a1"), *chain("b", 2)]
    schedule = Schedule(rounds, (), {r.key: 1 for r in rounds} | {"a0": 9}, retries=2)
    for attempt in (1, 2, 3):
        assert schedule.next(0.0).key == "a0"
        assert schedule.ended(ended("a0", code)) == attempt
    assert schedule.failed == {"a0": code}
    assert schedule.lost == {"a1", "control"}
    assert [schedule.next(0.0).key, schedule.ended(ended("b0")), schedule.next(0.0).key] == ["b0", 1, "b1"]
    schedule.ended(ended("b1"))
    assert schedule.over
    assert schedule.waiting == 0


def test_an_error_of_the_configuration_is_not_tried_again_and_a_preempted_round_always():
    schedule = Schedule(chain("a", 1), (), {"a0": 1}, retries=0)
    for _ in range(5):
        schedule.next(0.0)
        schedule.ended(ended("a0", INTERRUPTED))
    schedule.next(0.0)
    schedule.ended(ended("a0", 2))
    assert schedule.failed == {"a0": 2}
    assert schedule.over


def test_a_round_that_another_process_trains_holds_no_worker_and_is_looked_at_again():
    schedule = Schedule([*chain("a", 1), *chain("b", 1)], (), {"a0": 2, "b0": 1})
    assert schedule.next(0.0).key == "a0"
    schedule.ended(ended("a0", BUSY, end=10.0))
    assert schedule.next(10.0).key == "b0"
    assert schedule.next(10.5) is None
    assert not schedule.over
    assert schedule.next(11.0).key == "a0"


@pytest.mark.parametrize("seed", range(10))
def test_every_round_is_trained_once_after_its_parent_and_no_worker_idles_while_one_is_ready(seed):
    rng = random.Random(seed)
    rounds, workers = forest(rng, 200), rng.randrange(1, 9)
    cost = {r.key: rng.uniform(0.5, 3) for r in rounds}
    seen: dict[str, Ended] = {}
    engine = Simulated(workers, cost)
    engine.train(Schedule(rounds, (), cost), lambda all_ended: seen.update((end.key, end) for end, _ in all_ended))
    assert len(seen) == len(rounds)
    assert all(r.parent is None or seen[r.parent].end <= seen[r.key].begin for r in rounds)
    ready = {r.key: seen[r.parent].end if r.parent else 0.0 for r in rounds}
    for key, end in seen.items():  # while it was ready and had not begun, all workers were busy
        for moment in (ready[key], (ready[key] + end.begin) / 2):
            if moment < end.begin:
                assert sum(other.begin <= moment < other.end for other in seen.values()) == workers
    longest, total = max(paths(rounds, cost).values()), sum(cost.values())
    assert max(longest, total / workers) <= engine.clock <= total / workers + longest  # Graham's bound


def test_ten_thousand_rounds_on_a_thousand_workers_end_within_three_percent_of_the_lower_bound():
    rng = random.Random(0)
    rounds = [r for i in range(1000) for r in [*chain(f"{i}-", 5), *(Round(f"{i}c{k}", f"{i}-{k}") for k in range(5))]]
    cost = {r.key: rng.uniform(50, 150) for r in rounds}
    bound = max(max(paths(rounds, cost).values()), sum(cost.values()) / 1000)
    assert len(rounds) == 10_000
    assert makespan(rounds, (), cost, 1000) <= 1.03 * bound


def test_costs_are_medians_of_finished_rounds_of_the_same_family_else_of_all():
    def finished(family: str, seconds: float, epochs: int):
        return SimpleNamespace(family=family, seconds=seconds, epochs=epochs, images_per_second=None)

    rounds = [Round("a", family="f", epochs=3), Round("b", family="g", epochs=2)]
    assert costs(rounds, []) == ({"a": 3.0, "b": 2.0}, 0)
    records = [finished("f", 10, 1), finished("f", 40, 2), finished("h", 100, 1)]
    assert costs(rounds, records) == ({"a": 45.0, "b": 40.0}, 3)
    assert Counter(r.key for r in rounds) == Counter("ab")
