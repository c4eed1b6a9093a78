"""Atomic files, rounds that are finished once, locks, tickets, lists of test images."""

import csv
import json
import os
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lth import load_ticket
from lth.errors import DataError, LthError
from lth.hashes import of_tensors
from lth.tree import files, predictions
from lth.tree.record import Record, load
from lth.tree.store import Store
from lth.tree.ticket import Ticket, save_start, save_ticket
from tests.tree.rounds import facts, finish


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, failing):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, failing, full)
    with pytest.raises(OSError, match=r"No space left on device: '.*x\.json'"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_equal_tensors_are_equal_files(tmp_path):
    about = {f"key{i}": i for i in range(20)}
    for name in "ab":
        files.write_tensors(tmp_path / name, {"w": torch.arange(6).view(2, 3).t()}, about)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    tensors, read = files.read_tensors(tmp_path / "a")
    assert read == about
    assert torch.equal(tensors["w"], torch.arange(6).view(2, 3).t())
    with pytest.raises(DataError, match="damaged or missing"):
        files.read_tensors(tmp_path / "c")


def test_a_finished_round_is_never_written_again_and_an_interrupted_one_keeps_its_folder(tmp_path):
    store = Store(tmp_path)
    folder = store.start_over("abc", "dense")
    (folder / "half").write_text("of it")
    assert store.read("abc") is None
    assert not (store.start_over("abc", "dense") / "half").exists()
    (folder / "events").write_text("logged")
    store.checkpoint("abc").parent.mkdir()
    store.checkpoint("abc").touch()
    assert (store.start_over("abc", "dense") / "events").exists()
    record = store.finish(folder, facts(key="abc"))
    assert store.read("abc") == record
    assert store.finished() == [folder]
    with pytest.raises(RuntimeError, match="never written again"):
        store.start_over("abc", "dense")
    store.enter(record)
    assert not store.checkpoint("abc").exists()
    (tmp_path / "rounds" / "copy-def").mkdir()
    (tmp_path / "rounds" / "copy-def" / "round.json").write_bytes((folder / "round.json").read_bytes())
    with pytest.raises(DataError, match="of another round"):
        store.read("def")


def rows(outputs: Path) -> list[str]:
    return [row["key"] for row in csv.DictReader((outputs / "results.csv").read_text().splitlines())]


def test_results_csv_is_rewritten_from_the_rounds_whatever_it_held(tmp_path, capsys):
    records = [finish(tmp_path, round=k) for k in range(3)]
    assert rows(tmp_path) == [record.key for record in records]
    store = Store(tmp_path)
    (records[1].folder / "round.json").write_text("damaged")
    for spoil in (lambda path: path.write_bytes(b"\xff"), Path.unlink):
        spoil(tmp_path / "results.csv")
        store = Store(tmp_path)
        store.enter(records[2])
        assert rows(tmp_path) == [records[0].key, records[2].key]
    assert "round.json is damaged" in capsys.readouterr().err
    before = (tmp_path / "results.csv").stat().st_mtime_ns
    store.enter(records[0])
    assert (tmp_path / "results.csv").stat().st_mtime_ns == before


def test_who_waits_for_a_lock_says_so_and_can_be_stopped(tmp_path, monkeypatch):
    said, asked = [], iter(["", "SIGTERM", "SIGTERM", "SIGTERM"])
    monkeypatch.setattr("lth.cli.signals.asked", lambda: next(asked))
    store, other = Store(tmp_path), Store(tmp_path)
    stopped = pytest.raises(LthError, match="SIGTERM: all finished rounds are kept")
    with store.locked("k", said.append), stopped, other.locked("k", said.append):
        pass
    assert said == ["waiting for another process, which trains round k"]
    with other.locked("k", said.append), other.locked("l", said.append):
        assert len(said) == 1


def test_who_waits_for_a_first_rank_that_died_is_told(tmp_path, monkeypatch):
    parents = iter([1, 2])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    with pytest.raises(LthError, match="ended without finishing round k"):
        Store(tmp_path).wait_for("k")


@pytest.fixture
def ticket_folder(tmp_path) -> Path:
    generator = torch.Generator().manual_seed(0)
    rewind = {"w": torch.randn(7, 9, generator=generator), "b": torch.randn(7, generator=generator)}
    ticket = Ticket({"w": torch.rand(7, 9, generator=generator) < 0.3}, rewind)
    (tmp_path / "one").mkdir()
    save_ticket(tmp_path / "one", ticket, save_start(tmp_path / "one", rewind))
    return tmp_path / "one"


def test_a_ticket_opens_with_plain_safetensors(ticket_folder):
    with safe_open(ticket_folder / "ticket.safetensors", "np") as ticket:
        about = json.loads(ticket.metadata()["lth"])
        masks = {n: np.unpackbits(ticket.get_tensor(n), count=np.prod(s)).reshape(s) for n, s in about["shapes"].items()}
    with safe_open(ticket_folder / "start.safetensors", "np") as start:
        weights = {n: start.get_tensor(n) for n in start.keys()}  # noqa: SIM118
    ours = load_ticket(ticket_folder)
    assert 0 < ours.density == about["density"] < 1
    for name, tensor in ours.start.items():
        assert np.array_equal(weights[name] * masks.get(name, 1), tensor.numpy())


def test_rounds_with_the_same_start_share_a_file(ticket_folder, tmp_path):
    (tmp_path / "two").mkdir()
    ours, start = load_ticket(ticket_folder), ticket_folder / "start.safetensors"
    for other, same in (("0" * 16, False), (of_tensors(ours.rewind)[:16], True)):
        parent = Record.of(facts(start=other), ticket_folder)
        save_ticket(tmp_path / "two", ours, save_start(tmp_path / "two", ours.rewind, parent))
        assert (tmp_path / "two" / "start.safetensors").samefile(start) == same
        assert torch.equal(load_ticket(tmp_path / "two").start["w"], ours.start["w"])


def test_any_flipped_byte_of_a_ticket_is_caught(ticket_folder, tmp_path):
    for path in (ticket_folder / "ticket.safetensors", ticket_folder / "start.safetensors"):
        content = path.read_bytes()
        for place in (*range(0, len(content), len(content) // 23), -1):
            damaged = bytearray(content)
            damaged[place] ^= 4
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="damaged"):
                load_ticket(ticket_folder)
        path.write_bytes(content)
    (ticket_folder / "start.safetensors").unlink()
    for folder in (ticket_folder, tmp_path):
        with pytest.raises(DataError, match=r"start|ticket\.safetensors cannot be read .*missing"):
            load_ticket(folder)


def test_predictions_and_the_list_of_test_images(tmp_path):
    folder = tmp_path / "rounds" / "x"
    folder.mkdir(parents=True)
    images = types.SimpleNamespace(
        paths=[Path(f"/d/test/{c}/{i}.png") for c in "ab" for i in range(3)], labels=np.repeat([0, 1], 3)
    )
    splits = types.SimpleNamespace(test=np.array([0, 2, 3, 5]), test_images=images)
    assert predictions.write(folder, np.array([0, 1]), splits) == "", "several ranks see a share each"
    name = predictions.write(folder, np.array([0, 1, 1, 1]), splits)
    assert predictions.confusion(folder, name, 2) == [[1, 1], [0, 2]]
    [path] = (tmp_path / "tests").iterdir()
    content = path.read_bytes()
    assert json.loads(content)["paths"] == ["a/0.png", "a/2.png", "b/0.png", "b/2.png"]
    for damaged in (b"{}", b"", content.replace(b"a/0", b"a/1")):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"list of test images .* is missing or damaged"):
            predictions.confusion(folder, name, 2)
    assert predictions.write(folder, np.array([0, 1, 1, 1]), splits) == name
    assert path.read_bytes() == content


def test_a_finished_round_is_read_once_for_results_csv(tmp_path, monkeypatch):
    """A sweep of many rounds would otherwise read all of them again after each."""
    store, read = Store(tmp_path), []
    monkeypatch.setattr("lth.tree.record.load", lambda folder: read.append(folder) or load(folder))
    for k in range(4):
        record = store.finish(store.start_over(f"{k:012d}", "round"), facts(key=f"{k:012d}", name=f"round-{k:012d}"))
        store.enter(record)
    assert len(read) == len(set(read)) == 4
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 5
