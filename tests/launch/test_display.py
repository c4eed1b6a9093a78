"""What a person sees of a sweep."""

import pytest

from lth.launch import display
from lth.launch.display import Display, duration, progress
from lth.launch.graph import Round
from lth.launch.schedule import Ended, Schedule
from lth.launch.work import log_path


@pytest.fixture
def shown(tmp_path):
    """A display of two chains of two rounds, 100 s each, of which two rounds run; one is half done by its log."""
    rounds = [Round(f"{s}{i}", f"{s}0" if i else None, f"round {i}/1 seed {s}") for s in "ab" for i in (0, 1)]
    schedule = Schedule(rounds, (), {r.key: 100.0 for r in rounds})
    for _ in range(2):
        schedule.next(0.0)
    path = log_path(tmp_path, "a0")
    path.parent.mkdir()
    path.write_text(
        "round 0/1, 100.0% of weights, epoch 1/4: val loss 1.0\nround 0/1, 100.0% of weights, epoch 2/4: val loss 0.9\n"
    )
    return Display(schedule, tmp_path, lambda: 2, seconds=True)


def test_the_line_says_what_runs_how_far_it_is_and_how_long_the_rest_takes(shown):
    assert shown.line() == (
        "4 rounds: 0 done, 2 running (round 0/1 seed a, 50% | round 0/1 seed b, 0%), 2 waiting, 2 min 55 s left on 2 workers"
    )
    shown.schedule.ended(Ended("b0", "w", 0.0, 100.0, 0))
    assert shown.line().startswith("4 rounds: 1 done, 1 running (round 0/1 seed a, 50%), 2 waiting, ")


def test_failures_are_counted_and_without_measured_rounds_no_time_is_shown(shown):
    shown.scale = None
    shown.schedule.ended(Ended("a0", "w", 0.0, 1.0, 2))
    assert shown.line() == "4 rounds: 0 done, 1 running (round 0/1 seed b, 0%), 1 waiting, 1 failed"
    shown.live = False
    shown.schedule.ended(end := Ended("b0", "w", 0.0, 25.0, 0))
    shown.show([(end, 1)])
    assert shown.line().endswith("25 s left on 2 workers"), "a round of the same cost took 25 s"


def test_where_there_is_no_terminal_each_round_that_ended_is_a_line(shown, capsys):
    shown.live = False
    shown.show([(Ended("a0", "host:0", 5.0, 12.5, 0), 1), (Ended("b0", "host:1", 5.0, 6.0, -9), 2)])
    assert capsys.readouterr().err.splitlines() == [
        "round 0/1 seed a finished in 7.5 s on host:0; 4 rounds: 0 done, 2 running, 2 waiting",
        "round 0/1 seed b ended with exit code -9 in 1.0 s on host:1, attempt 2; 4 rounds: 0 done, 2 running, 2 waiting",
    ]


def test_a_terminal_gets_one_line_in_place_once_a_second_at_most(shown, capsys, monkeypatch):
    now = iter([10.0, 10.5])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(now))
    shown.live = True
    for _ in range(2):
        shown.show([])
    shown.close()
    printed = capsys.readouterr().err
    assert printed.count("\r4 rounds:") == 1
    assert printed.endswith("\n")


def test_progress_is_zero_without_a_log(tmp_path):
    assert progress(tmp_path, "none") == 0.0


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (65, "1 min 5 s"), (4320, "1 h 12 min"), (90000, "25 h 0 min")])
def test_durations(seconds, text):
    assert duration(seconds) == text
