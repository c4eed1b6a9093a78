"""Sweeps on processes of this machine: the results of a plain search, lost workers, other drivers, signals."""

import os
import re
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import lth
from lth.cli import signals
from lth.errors import Interrupted, UsageError
from lth.invariants.verify import verify
from lth.launch import sweep
from lth.launch.local import Local
from lth.launch.work import work
from lth.training.experiment import ImageExperiment
from lth.training.search import search
from lth.tree import attempts
from lth.tree.record import read
from lth.tree.store import Store
from tests.launch import experiments
from tests.own.modules import Regression, Table
from tests.training import finals

TWO = {"workers": 2}


@pytest.fixture
def sweep_of(make_config):
    """A function that returns experiments of two seeds and a control, of a kind."""

    def make(*kinds, outputs: Path, **changes) -> list[ImageExperiment]:
        configs = [make_config(outputs, seed=seed, epochs=1, **changes) for seed in range(len(kinds))]
        return [kind.of(replace(c, prune=replace(c.prune, controls="reinit+dense"))) for kind, c in zip(kinds, configs)]

    return make


def train(made: list[ImageExperiment], **options) -> list:
    return sweep.train(made, "local", TWO | options)


def rows(outputs: Path) -> Counter:
    return Counter((row.key, row.exit) for row in attempts.read(outputs))


def test_every_round_is_trained_once_to_the_bits_of_a_plain_search(sweep_of, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    made = sweep_of(ImageExperiment, ImageExperiment, outputs=tmp_path / "graph")
    other = replace(made[0].config, prune=replace(made[0].config.prune, rate=0.5))
    made.append(ImageExperiment.of(other))  # shares its dense networks with the first one
    assert train(made) == []
    for experiment in made:
        search(replace(experiment.config, outputs=str(tmp_path / "plain")), say=lambda line: None)
    assert finals(tmp_path / "graph") == finals(tmp_path / "plain")
    keys = {spec.key for experiment in made for spec in experiment.rounds()}
    assert rows(tmp_path / "graph") == {(key, 0): 1 for key in keys}
    assert {row.parent for row in attempts.read(tmp_path / "graph")} <= {*keys, ""}
    assert len((tmp_path / "graph" / "results.csv").read_text().splitlines()) == 1 + len(keys)
    assert all("epoch 1/1" in path.read_text() for path in tmp_path.glob("graph/rounds/*round01*/log.txt"))
    assert not (tmp_path / "graph" / "logs").exists()
    assert verify(tmp_path / "graph", say=lambda line: None) == 0
    assert train(made) == []
    assert sum(rows(tmp_path / "graph").values()) == len(keys), "nothing was missing"


def test_a_round_whose_worker_is_killed_is_trained_elsewhere(sweep_of, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = sweep_of(experiments.Killed, outputs=tmp_path, rounds=1)
    assert train(made) == []
    [key] = [key for key, code in rows(tmp_path) if code == -signal.SIGKILL]
    assert [(row.attempt, row.exit) for row in attempts.read(tmp_path) if row.key == key] == [(1, -9), (2, 0)]
    assert len(read(tmp_path).records) == len(made[0].rounds())
    assert "OMP_NUM_THREADS" not in os.environ, "which is that of the workers"


def test_a_subtree_that_fails_is_named_and_the_rest_goes_on(sweep_of, tmp_path):
    (tmp_path / "always").touch()
    made = sweep_of(experiments.Killed, experiments.Refused, ImageExperiment, outputs=tmp_path, rounds=1)
    sentences = " ".join(map(str, train(made, retries=1)))
    assert re.search("round 0/1 seed 0 .* failed, 2 rounds after it were not trained: its worker died.", sentences)
    assert re.search("round 0/1 seed 1 .* failed, 2 rounds after it were not trained: the images are gone.", sentences)
    assert {record.seed for record in read(tmp_path).records} == {2}
    assert rows(tmp_path)[made[0].rounds()[0].key, -signal.SIGKILL] == 2
    assert rows(tmp_path)[made[1].rounds()[0].key, 1] == 1, "its data will not be better next time"


def test_a_round_that_another_process_trains_is_waited_for_without_a_worker(sweep_of, tmp_path):
    made = sweep_of(ImageExperiment, ImageExperiment, outputs=tmp_path, rounds=0)
    key = made[0].rounds()[0].key
    with Store(tmp_path).lock(key):
        assert work(made[0], key) == 69
        with pytest.raises(Interrupted):  # the other process does not end; all else is trained
            stopped_when(made, lambda: {record.seed for record in read(tmp_path).records} == {1})
    assert train(made) == []
    assert {record.seed for record in read(tmp_path).records} == {0, 1}


def stopped_when(made, holds) -> None:
    """Train until a condition holds, then ask to stop as a signal does."""

    def watch() -> None:
        while not holds():
            time.sleep(0.1)
        signals._asked.append("SIGTERM")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        train(made)
    finally:
        watcher.join()
        signals._asked.clear()


def test_a_signal_stops_all_workers(sweep_of, tmp_path):
    made = sweep_of(experiments.Slow, outputs=tmp_path, rounds=0)
    with pytest.raises(Interrupted):
        stopped_when(made, (tmp_path / "begun").exists)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with Store(tmp_path).lock(made[0].rounds()[0].key).acquire(blocking=False):
        pass  # nobody has it any more


def test_two_devices_within_a_round(make_config, tmp_path):
    config = make_config(tmp_path, epochs=1, rounds=0)
    made = [ImageExperiment.of(replace(config, trainer=replace(config.trainer, devices=2)))]
    assert sweep.train(made, "local", {"workers": 1}) == []
    records = read(tmp_path).records
    assert len(records) == len(made[0].rounds())
    assert all(record.checks["ranks"]["ranks"] == 2 and record.held for record in records)
    assert {record.command for record in records} == {shlex.join(sys.argv[1:])}, "the driver's"


def test_a_search_of_ones_own_over_seeds_and_rates(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    common = {
        "model": Regression, "data": Table(), "name": "table", "epochs": 1, "rounds": 1, "score": "val/r2", "loss": "val/mse",
        "trainer": {"accelerator": "cpu"}, "logger": "none", "say": lambda line: None,
    }  # fmt: skip
    launched = lth.search(**common, seed=[0, 1], rate=[0.2, 0.5], outputs=tmp_path / "graph", launcher={"name": "local"} | TWO)
    plain = lth.search(**common, seed=(0, 1), rate=(0.2, 0.5), outputs=tmp_path / "plain")
    assert sorted(r.key for r in launched) == sorted(r.key for r in plain)
    assert len(plain) == 6
    assert finals(tmp_path / "graph") == finals(tmp_path / "plain")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 0}, "hydra.launcher.workers=0 is not accepted"),
        ({"threads": 0}, "hydra.launcher.threads=0 is not accepted"),
        ({"retries": -1}, "hydra.launcher.retries=-1 is not accepted"),
        ({"worker": 1}, "an option of the launcher local is not accepted: .*'worker'"),
    ],
)
def test_an_option_that_is_not_accepted_is_one_sentence(sweep_of, tmp_path, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        sweep.train(sweep_of(ImageExperiment, outputs=tmp_path), "local", options)


def test_experiments_of_two_folders_are_refused(sweep_of, tmp_path):
    made = [sweep_of(ImageExperiment, outputs=tmp_path / name)[0] for name in "ab"]
    with pytest.raises(UsageError, match=r"outputs=.*a,.*b is not accepted: it takes one folder"):
        train(made)


def test_the_outline_counts_shared_and_finished_rounds(sweep_of, tmp_path):
    made = sweep_of(ImageExperiment, ImageExperiment, outputs=tmp_path, rounds=2)
    text = sweep.outline([*made, made[0]])
    assert "21 asked for by 3 experiments, 7 of them shared; 0 finished, 14 to train" in text
    assert "critical path  4 epochs in 4 rounds" in text
    assert "1: 20 epochs, 2: 10 epochs" in text
    search(made[0].config, say=lambda line: None)
    text = sweep.outline(made)
    assert "7 finished, 7 to train" in text
    assert "from 7 finished rounds" in text


@pytest.mark.parametrize(
    ("gpus", "devices", "options", "dealt"),
    [
        ("0,1,2,3", 1, {}, ["0", "1", "2", "3"]),
        ("0,1,2,3", 2, {}, ["0,1", "2,3"]),
        ("2,GPU-5a", 1, {"workers": 3}, ["2", "GPU-5a", "2"]),
        ("", 1, {"workers": 2}, ["", ""]),
        ("", 1, {"threads": 10**6}, [""]),
        ("", 1, {"workers": 8, "memory": 10**6}, [""]),
    ],
)
def test_gpus_are_dealt_out_and_workers_fit_the_machine(make_config, tmp_path, monkeypatch, gpus, devices, options, dealt):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    config = make_config(tmp_path)
    made = ImageExperiment.of(replace(config, trainer=replace(config.trainer, devices=devices)))
    made.config.trainer.accelerator = "auto"
    assert [place.gpus for place in Local([made], **options).places] == dealt
