"""Other loggers: an absent package is one sentence before there is any work; each leaves its files."""

import sqlite3
from importlib.util import find_spec

import pytest

from lth.errors import UsageError
from lth.tracking import loggers
from lth.training.search import search


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_an_absent_package_is_named_with_the_command_before_any_work(name, make_config, tmp_path, monkeypatch):
    monkeypatch.setattr("lth.errors.find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"^logger={name} needs the package {name}, .*pip install -e '\.\[{name}\]'\.$"):
        search(make_config(logger=name), say=lambda line: None)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.filterwarnings("ignore")  # their own
@pytest.mark.parametrize("name", ["csv", "wandb", "mlflow"])
def test_a_logger_has_the_curves_and_scores_of_each_round(name, make_config, tmp_path):
    if any(find_spec(package) is None for package in loggers.PACKAGES.get(name, ())):
        pytest.skip(f"{name} is not installed")
    records = search(make_config(rounds=1, epochs=1, logger=name), say=lambda line: None)
    outputs = tmp_path / "outputs"
    assert not (outputs / "experiments").exists()
    if name == "csv":
        for record in records:
            folder = outputs / "rounds" / record.name / "lightning"
            assert {"val/acc", "hp/test_acc"} <= set((folder / "metrics.csv").read_text().splitlines()[0].split(","))
            assert "control: none" in (folder / "hparams.yaml").read_text()
    elif name == "wandb":
        runs = [run.read_bytes() for run in (outputs / "wandb").glob("offline-run-*/run-*.wandb")]
        assert len(runs) == 2
        assert any(b"round01" in run for run in runs)
    else:
        with sqlite3.connect(outputs / "mlflow.db") as database:
            runs = database.execute("select name, status from runs").fetchall()
            scores = database.execute("select value from metrics where key = 'hp/test_acc'").fetchall()
        assert sorted(runs) == [(record.name, "FINISHED") for record in records]
        assert sorted(score for (score,) in scores) == pytest.approx(sorted(record.test_acc for record in records))
