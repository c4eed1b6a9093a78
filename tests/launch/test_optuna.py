"""``hydra/sweeper=optuna``: values lie in their ranges, studies continue, failed trials stop nothing."""

import math
import re
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins

from lth import run as command
from lth.errors import UsageError
from lth.launch import ranges
from lth.launch.study import FILE, Study
from tests.test_run import small

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is not installed")
SWEEP = ["-m", "hydra/sweeper=optuna"]


@pytest.fixture
def here(typed, images, tmp_path):
    """A function that runs a small sweep in this process: exit code, stdout, stderr."""
    return partial(typed, command.main, *SWEEP, *small(images, tmp_path), "logger=none", "prune.rounds=1")


def studies(outputs: Path) -> list[list[tuple[str, dict]]]:
    """State and values of each trial of each study in a folder, in order of their names."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    storage = optuna.storages.JournalStorage(JournalFileBackend(str(outputs / FILE)))
    found = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    return [[(t.state.name, t.params) for t in study.trials] for study in found]


def rounds(outputs: Path) -> dict[str, int]:
    """When each round was finished, by the name of its folder."""
    return {path.parent.name: path.stat().st_mtime_ns for path in outputs.glob("rounds/*/round.json")}


@needs_optuna
def test_a_study_is_kept_and_continues_and_its_dense_network_is_trained_once(here, tmp_path):
    line, local = ["prune.rate=interval(0.1,0.5)"], ["hydra/launcher=local", "hydra.launcher.workers=1"]
    code, out, err = here(*line, *local, "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    assert code == 0, err
    first = rounds(tmp_path)
    assert [sum(f"round0{k}" in name for name in first) for k in (0, 1)] == [1, 2]
    assert err.count("3 rounds: 3 done") == 1, "both trials are one graph"
    rates = re.findall(r"^trial \d .*: prune\.rate=(.*)$", out, re.M)
    assert len(set(rates)) == 2
    assert all(0.1 <= float(rate) <= 0.5 and len(rate) <= len("0.1234") for rate in rates)

    code, out, err = here(*line, "hydra.sweeper.n_trials=3")
    assert code == 0, err
    assert re.findall(r"^trial (\d)", out, re.M) == ["2"]
    assert "job 3/3, round 1/1, " in err
    second = rounds(tmp_path)
    assert len(second) == 4
    assert second == second | first, "finished rounds are not trained again"

    code, out, err = here(*line, "hydra.sweeper.n_trials=3")
    assert (code, err, rounds(tmp_path)) == (0, "", second)
    best, again, study = out.splitlines()
    number, rate = re.fullmatch(r"best of 3 +trial (\d), score [01]\.\d{4}: prune\.rate=(.*)", best).groups()
    assert re.fullmatch(rf"repeat it +python -m lth\.run data=folder .* prune\.rate={rate}", again)
    assert study.endswith(f" in {tmp_path / FILE}")
    [trials] = studies(tmp_path)
    assert [state for state, _ in trials] == ["COMPLETE"] * 3
    assert math.isclose(trials[int(number)][1]["prune.rate"], float(rate), rel_tol=1e-3)

    code, out, err = here(*line, "hydra.sweeper.n_trials=1", "score=sparsest", "score.within=0.99")
    assert (code, len(studies(tmp_path)), rounds(tmp_path)) == (0, 2, second), "another study begins with the same values"
    assert float(re.search(r"^trial .* score (.*?):", out, re.M)[1]) == pytest.approx(float(rates[0]), abs=1e-3)


@needs_optuna
def test_a_trial_that_fails_stops_nothing_and_is_no_trial(here, tmp_path):
    line = [
        "prune.rate=choice(0.3,1.5,much)",
        "hydra.sweeper.sampler=random",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.n_jobs=4",
    ]
    code, out, err = here(*line)
    assert code == 2
    [trials] = studies(tmp_path)
    assert {values["prune.rate"]: state for state, values in trials} == {"0.3": "COMPLETE", "1.5": "FAIL", "much": "FAIL"}
    rates = [values["prune.rate"] for _, values in trials]
    assert out.count("failed: prune.rate=1.5") == err.count("prune.rate=1.5 is not accepted: it takes") == rates.count("1.5")
    assert out.count("failed: prune.rate=much") == err.count("Value 'much' of type 'str' could not be") == rates.count("much")
    assert f"best of {rates.count('0.3')}    trial" in out
    before = rounds(tmp_path)
    here(*line)
    assert rounds(tmp_path) == before
    assert len(studies(tmp_path)[0]) == len(rates) + 6 - rates.count("0.3")


@needs_optuna
@pytest.mark.parametrize("given", ["prune.rate=interval(0.1,0.5)", "+hydra.sweeper.params={prune.rate:'interval(0.1,0.5)'}"])
def test_a_dry_run_draws_all_trials_and_keeps_none(here, tmp_path, given):
    code, out, err = here(given, "hydra.sweeper.n_trials=5", "--dry-run")
    assert code == 0, err
    assert "10 asked for by 5 experiments, 4 of them shared; 0 finished, 6 to train" in out
    assert not (tmp_path / FILE).exists()


@needs_optuna
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("hydra.sweeper.n_trials=0 seed=0,1", r"hydra\.sweeper\.n_trials=0 is not accepted: it takes a number at least 1\."),
        ("hydra.sweeper.sampler=grid seed=0,1", r"hydra\.sweeper\.sampler=grid is not accepted: it takes one of tpe, random\."),
        ("hydra.sweeper.trials=3 seed=0,1", r"hydra\.sweeper\.trials is no key"),
        ("prune.rate=0.2", r"needs a key with several values, such as prune\.rate=interval\(0\.1,0\.5\)\."),
        ("prune.rat=interval(0.1,0.5)", r"prune\.rat is no key; did you mean prune\.rate=\?"),
        ("seed=0,1 prune.rat=0.3", r"prune\.rat is no key; did you mean prune\.rate=\?"),
    ],
)
def test_a_mistake_is_one_sentence_and_begins_no_study(here, tmp_path, arguments, sentence):
    code, out, err = here(*arguments.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(sentence, err)
    assert not (tmp_path / FILE).exists()


def test_without_optuna_one_sentence_says_what_to_install(here, monkeypatch):
    Plugins.instance()  # imports what it finds
    monkeypatch.setattr("lth.errors.find_spec", lambda name: None)
    code, _, err = here("prune.rate=interval(0.1,0.5)")
    sentence = "hydra/sweeper=optuna needs the package optuna, which is not installed: pip install -e '.[optuna]'."
    assert (code, err) == (2, f"lth: {sentence}\n")


def drawn_from(line: str):
    return ranges.distribution(OverridesParser.create().parse_override(line))


@needs_optuna
@pytest.mark.parametrize(
    ("line", "kind", "values"),
    [
        ("x=interval(0,1)", "FloatDistribution", {"low": 0.0, "high": 1.0, "log": False}),
        ("x=tag(log,interval(1e-4,1e-2))", "FloatDistribution", {"low": 1e-4, "high": 1e-2, "log": True}),
        ("x=int(interval(1,9))", "IntDistribution", {"low": 1, "high": 9, "step": 1}),
        ("x=range(3,12,3)", "IntDistribution", {"low": 3, "high": 9, "step": 3}),
        ("x=range(0.1,0.35,0.1)", "FloatDistribution", {"low": 0.1, "high": 0.3, "step": 0.1}),
        ("x=range(3,0,-1)", "CategoricalDistribution", {"choices": ("1", "2", "3")}),
        ("x=shuffle(range(3))", "CategoricalDistribution", {"choices": ("0", "1", "2")}),
        ("x=b,a,0.5", "CategoricalDistribution", {"choices": ("0.5", "a", "b")}),
        ("x=choice(one,'two words')", "CategoricalDistribution", {"choices": ("one", "two\\ words")}),
    ],
)
def test_the_grammar_of_the_command_line_is_what_values_are_drawn_from(line, kind, values):
    among = drawn_from(line)
    assert type(among).__name__ == kind
    assert {name: getattr(among, name) for name in values} == values


@needs_optuna
def test_floats_have_four_digits_and_stay_in_their_range():
    among = drawn_from("x=interval(0.123456,0.5)")
    assert [ranges.text(value, among) for value in (0.123456789, 0.2345678, 0.5)] == ["0.1235", "0.2346", "0.5"]
    assert ranges.text(0.123411, drawn_from("x=interval(0.12341,0.5)")) == "0.12341"
    assert ranges.text(0.000123456, drawn_from("x=tag(log,interval(1e-5,1))")) == "0.0001235"
    assert ranges.text(123456, drawn_from("x=int(interval(1,1000000))")) == "123456"
    for line in ("x=interval(1,0)", "x=range(3,3)", "x=tag(log,interval(0,1))"):
        with pytest.raises(UsageError, match=r"^x=.* is not accepted: "):
            drawn_from(line)


@needs_optuna
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_stopped_study_begins_with_the_trial_that_it_left_and_asks_for_the_same_values(tmp_path, sampler):
    space = {"x": drawn_from("x=interval(0,1)")}

    def values(place: Path | None, stops: tuple[int, ...]) -> list[float]:
        """The values of 16 trials; at some a command is stopped, and another one continues."""
        study, found = Study(space, "maximize", sampler, 3, "one", place), []
        while len(found) < 16:
            [trial] = study.ask(1)
            if trial.number in stops:
                stops = tuple(stop for stop in stops if stop != trial.number)
                study = Study(space, "maximize", sampler, 3, "one", place)
                continue
            study.tell(trial, math.nan if trial.number == 5 else -abs(trial.params["x"] - 0.5))
            found.append(trial.params["x"])
        assert [trial.number for trial in study.trials("FAIL")] == [5]
        return found

    straight = values(None, ())
    assert len(set(straight)) == 16
    assert values(tmp_path / FILE, (0, 3, 12)) == straight
