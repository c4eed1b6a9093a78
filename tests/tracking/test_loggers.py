"""Other loggers: an absent package is one sentence before there is any work; each leaves its files."""

import sqlite3
from importlib.util import find_spec

import pytest

from lth.errors import UsageError
from lth.tracking import loggers
from lth.training.search import search


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_an_absent_package_is_named_with_the_command_before_any_work(name, make_config, tmp_path, monkeypatch):
    monkeypatch.setattr(loggers, "find_spec", lambda package: None)
    with pytest.raises(UsageError, match=rf"^logger={name} needs the package {name}, .*pip install -e '\.\[{name}\]'\.$"):
        search(make_config(logger=name), say=lambda line: None)
    assert not (tmp_path / "outputs").exists()


def test_a_mere_folder_of_that_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "sqlalchemy_of_ours").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(loggers.PACKAGES, "mlflow", ("sqlalchemy_of_ours",))
    with pytest.raises(UsageError, match="which is not installed"):
        loggers.require("mlflow")


def test_csv_leaves_a_file_in_the_rounds_folder(make_config, tmp_path):
    [record] = search(make_config(rounds=0, epochs=1, logger="csv"), say=lambda line: None)
    folder = tmp_path / "outputs" / "rounds" / record.name / "lightning"
    assert "val/acc" in (folder / "metrics.csv").read_text()
    assert "control: none" in (folder / "hparams.yaml").read_text()
    assert not (tmp_path / "outputs" / "experiments").exists()


@pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed")
@pytest.mark.filterwarnings("ignore")  # its own
def test_wandb_offline_has_a_run_a_round(make_config, tmp_path):
    search(make_config(rounds=1, epochs=1, logger="wandb"), say=lambda line: None)
    runs = list((tmp_path / "outputs" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(runs) == 2
    assert any(b"round01" in run.read_bytes() for run in runs)


@pytest.mark.skipif(find_spec("mlflow") is None or find_spec("sqlalchemy") is None, reason="mlflow is not installed")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_run_a_round_in_one_file(make_config, tmp_path):
    records = search(make_config(rounds=1, epochs=1, logger="mlflow"), say=lambda line: None)
    with sqlite3.connect(tmp_path / "outputs" / "mlflow.db") as database:
        runs = database.execute("select name, status from runs").fetchall()
        scores = database.execute("select value from metrics where key = 'hp/test_acc'").fetchall()
    assert sorted(runs) == [(record.name, "FINISHED") for record in records]
    assert sorted(score for (score,) in scores) == pytest.approx(sorted(record.test_acc for record in records))
