"""A round that is interrupted at any moment and resumed ends with the same bits, the same rows and the same checks."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lth.cli import signals
from lth.errors import Interrupted
from lth.tree import checkpoint
from tests.test_run import small
from tests.training import run

SCORES = (
    "train_loss", "train_acc", "val_acc", "test_acc", "early_stop_test_acc", "early_stop_iteration", "censored", "best_epoch",
    "best_test_acc", "iterations", "kept",
)  # fmt: skip


@pytest.fixture
def interrupt(monkeypatch):
    """``interrupt(n)``: as if a signal came before the n-th step that is looked at."""

    def at(step: int) -> None:
        left = iter(range(step - 1))
        monkeypatch.setattr(signals, "asked", lambda: "" if next(left, None) is not None else "SIGTERM")

    return at


def same(records, others):
    for record, other in zip(records, others, strict=True):
        assert record.key == other.key
        assert [getattr(record, name) for name in SCORES] == [getattr(other, name) for name in SCORES]
        for name in ("final.safetensors", "ticket.safetensors"):
            assert (record.folder / name).read_bytes() == (other.folder / name).read_bytes(), name
        columns = [[line.split(",")[:7] for line in (r.folder / "metrics.csv").read_text().splitlines()] for r in (record, other)]
        assert columns[0] == columns[1]
        for name in ("exact_count", "nested", "start", "zeros", "untouched", "ranks"):
            assert record.checks[name] == other.checks[name]


@pytest.mark.parametrize(
    ("model", "optim", "interval", "batch", "steps"),
    [
        ("simple_cnn", "adam", 0, 16, 7), ("resnet20", "sgd", 0, 16, 7), ("lenet_300_100", "adamw", 3, 16, 4),
        ("lenet_300_100", "adam", 0, 200, 3),
    ],
)  # fmt: skip
def test_interrupted_every_few_steps(make_config, tmp_path, interrupt, model, optim, interval, batch, steps):
    """Also round 0 on its way to the rewind checkpoint, and beyond. In batches of 200, an epoch is one step."""

    def made(outputs: str):
        config = make_config(outputs=tmp_path / outputs, rounds=1, epochs=3, model=model, augment="flip")
        config.optim.name, config.optim.schedule, config.optim.warmup = optim, "cosine", 2
        config.trainer.val_check_interval, config.data.batch_size, config.prune.rewind = interval, batch, "1ep"
        return config

    whole, records, stops = run(made("whole")), None, []
    while records is None:
        interrupt(steps)
        try:
            records = run(made("parts"))
        except Interrupted as error:
            stops.append(str(error))
    assert 2 <= len(stops) < 40
    assert all("the same command goes on from there" in stop for stop in stops)
    same(records, whole)
    [left] = (tmp_path / "parts" / "checkpoints").glob("*.safetensors")
    assert left.name.startswith(f"{records[0].key}-"), "what is finished needs no checkpoint but the one to rewind to"
    assert left.read_bytes() == next((tmp_path / "whole" / "checkpoints").glob("*.safetensors")).read_bytes()


def test_a_small_round_goes_on_to_the_same_bits(make_config, tmp_path, interrupt):
    """Its checkpoints have the shapes of what is trained, and the round's files those of the whole network."""
    pytest.importorskip("torch_pruning", reason="channels need torch-pruning")

    def made(outputs: str):
        config = make_config(outputs=tmp_path / outputs, rounds=1, rate=0.5, model="simple_cnn")
        return run(config, prune__structure="channels", prune__small=True)

    whole, records, sizes = made("whole"), None, []
    while records is None:
        interrupt(5)
        try:
            records = made("parts")
        except Interrupted:
            [path] = (tmp_path / "parts" / "checkpoints").glob("*.safetensors")
            sizes.append(len(checkpoint.load(path).state["conv1.0.weight"]))
    assert sizes[0] == 15 > sizes[-1]
    same(records, whole)


def test_checkpoints_are_written_every_few_minutes(make_config, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda path, written: saved.append(written.step))
    run(make_config(rounds=0, epochs=2), trainer__checkpoint_minutes=1e-9)
    assert saved == list(range(1, 14)), "the last one of an epoch after its validation"
    run(make_config(outputs=tmp_path / "none", rounds=0, epochs=2), trainer__checkpoint_minutes=0)
    assert len(saved) == 13


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(("name", "code", "seeds"), [("SIGTERM", 75, "0,1,2"), ("SIGUSR1", 75, "0"), ("SIGINT", 130, "0")])
def test_a_signal_writes_a_checkpoint_and_the_same_command_goes_on(images, tmp_path, name, code, seeds):
    """A sweep stops as a whole."""
    options = [*small(images, tmp_path), "epochs=300", "prune.rounds=0", f"seed={seeds}", *(["-m"] if "," in seeds else [])]
    command = [sys.executable, "-m", "lth.run", *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True, cwd=Path.cwd()
    )
    with process:
        assert any("epoch 3/" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(getattr(signal, name))
        printed = process.stderr.read()
    assert process.returncode == code
    last = printed.strip().splitlines()[-1]
    assert last.startswith(f"lth: {name}: saved at iteration ")
    assert last.endswith("; the same command goes on from there.")
    assert printed.count("the same command goes on") == 1
    assert "Traceback" not in printed
    [path] = (tmp_path / "checkpoints").glob("*.safetensors")
    written = checkpoint.load(path)
    assert f"iteration {written.step};" in last
    assert (written.step > 14, written.progress.sessions) == (True, 1)
