"""A round that is interrupted at any moment and resumed ends with the same bits, the same rows and the same checks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lth.cli import signals
from lth.errors import Interrupted
from lth.training.search import search
from lth.tree import checkpoint
from tests.test_run import small

SCORES = (
    "train_acc",
    "val_acc",
    "test_acc",
    "early_stop_test_acc",
    "censored",
    "best_epoch",
    "best_test_acc",
    "early_stop_iteration",
    "iterations",
    "kept",
    "train_loss",
)


def quiet(config):
    return search(config, say=lambda line: None)


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(n)``: as if a signal came before the n-th step that is looked at; afterwards there is none."""

    def at(step: int) -> None:
        state = {"left": step}

        def asked() -> str:
            state["left"] -= 1
            return "SIGTERM" if state["left"] <= 0 else ""

        monkeypatch.setattr(signals, "asked", asked)

    return at


def same(config, records, other_config, others):
    for record, other in zip(records, others, strict=True):
        assert record.key == other.key
        assert [getattr(record, name) for name in SCORES] == [getattr(other, name) for name in SCORES]
        folders = [Path(c.outputs) / "rounds" / r.name for c, r in ((config, record), (other_config, other))]
        for name in ("final.safetensors", "ticket.safetensors"):
            assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
        columns = [[line.split(",")[:7] for line in (f / "metrics.csv").read_text().splitlines()] for f in folders]
        assert columns[0] == columns[1]
        for name in ("exact_count", "nested", "start", "zeros", "untouched", "ranks"):
            assert record.checks[name] == other.checks[name]


@pytest.mark.parametrize(
    ("model", "optim", "interval"), [("simple_cnn", "adam", 0), ("resnet20", "sgd", 0), ("lenet_300_100", "adamw", 3)]
)
def test_interrupted_every_few_steps(make_config, tmp_path, interrupt, monkeypatch, model, optim, interval):
    def made(outputs):
        config = make_config(outputs=tmp_path / outputs, rounds=1, epochs=3, model=model, augment="flip")
        config.optim.name, config.optim.schedule, config.trainer.val_check_interval = optim, "cosine", interval
        return config

    whole, records = quiet(made("whole")), None
    stops = []
    while records is None:
        interrupt(7 if not interval else 4)
        try:
            records = quiet(made("parts"))
        except Interrupted as error:
            stops.append(str(error))
    assert 3 <= len(stops) < 40
    assert all("the same command goes on from there" in stop for stop in stops)
    same(made("parts"), records, made("whole"), whole)
    assert not list((tmp_path / "parts" / "checkpoints").glob("*.safetensors")), "what is finished needs no checkpoint"


def test_a_damaged_checkpoint_is_not_used(make_config, tmp_path, interrupt, monkeypatch):
    whole = make_config(outputs=tmp_path / "whole", rounds=0)
    interrupt(5)
    with pytest.raises(Interrupted):
        quiet(make_config(rounds=0))
    [path] = (tmp_path / "outputs" / "checkpoints").glob("*.safetensors")
    for damage in (lambda b: b[:-7], lambda b: b[:-9] + bytes([b[-9] ^ 4]) + b[-8:], lambda b: b"", lambda b: b"\xff" * len(b)):
        content = path.read_bytes()
        path.write_bytes(damage(content))
        assert checkpoint.load_valid(path) is None
        path.write_bytes(content)
    assert checkpoint.load_valid(path) is not None
    path.write_bytes(b"")
    monkeypatch.undo()
    same(make_config(), quiet(make_config(rounds=0)), whole, quiet(whole))


def test_checkpoints_are_written_every_few_minutes(make_config, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda path, found: saved.append(found.step))
    config = make_config(rounds=0, epochs=2)
    config.trainer.checkpoint_minutes = 1e-9
    quiet(config)
    assert saved == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], "the last one of an epoch after its validation"
    saved.clear()
    config = make_config(outputs=tmp_path / "none", rounds=0, epochs=2)
    config.trainer.checkpoint_minutes = 0
    quiet(config)
    assert saved == []


def test_checkpoints_where_an_epoch_is_one_step(make_config, tmp_path, interrupt, monkeypatch):
    def made(outputs):
        config = make_config(outputs=tmp_path / outputs, rounds=1, epochs=3)
        config.data.batch_size = 200
        return config

    whole = quiet(made("whole"))
    for _ in range(4):
        interrupt(1)
        monkeypatch.setattr(signals, "stop", lambda where, stop=signals.stop: stop(where) if "saved" in where else None)
        with pytest.raises(Interrupted, match="saved at iteration"):
            quiet(made("parts"))
        monkeypatch.undo()
    same(made("parts"), quiet(made("parts")), made("whole"), whole)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_signal_writes_a_checkpoint_and_the_same_command_goes_on(images, tmp_path, name, code):
    command = [sys.executable, "-m", "lth.run", *small(images, tmp_path), "epochs=300", "prune.rounds=0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        assert any("epoch 3/" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(getattr(signal, name))
        told = process.stderr.read()
    assert process.returncode == code
    last = told.strip().splitlines()[-1]
    assert last.startswith(f"lth: {name}: saved at iteration ")
    assert last.endswith("; the same command goes on from there.")
    assert "Traceback" not in told
    [path] = (tmp_path / "checkpoints").glob("*.safetensors")
    found = checkpoint.load(path)
    assert f"iteration {found.step};" in last
    assert found.step > 14
    assert found.progress.sessions == 1


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_sweep_stops_as_a_whole(images, tmp_path):
    command = [sys.executable, "-m", "lth.run", "-m", *small(images, tmp_path), "epochs=200", "prune.rounds=0", "seed=0,1,2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True)
    with process:
        assert any("epoch 2/" in line for line in iter(process.stderr.readline, ""))
        process.terminate()
        told = process.stderr.read()
    assert process.returncode == 75
    assert told.count("the same command goes on") == 1
