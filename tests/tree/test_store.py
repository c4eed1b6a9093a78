import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lth import load_ticket
from lth.errors import DataError
from lth.training.search import search
from lth.tree import files
from lth.tree.store import Store


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def power_cut(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", power_cut)
    with pytest.raises(OSError, match="no space"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_equal_tensors_are_equal_files(tmp_path):
    about = {f"key{i}": i for i in range(20)}
    for name in "ab":
        files.write_tensors(tmp_path / name, {"w": torch.arange(6).view(2, 3).t()}, about)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    tensors, found = files.read_tensors(tmp_path / "a")
    assert found == about
    assert torch.equal(tensors["w"], torch.arange(6).view(2, 3).t())


def test_a_finished_round_is_never_written_again(tmp_path):
    store = Store(tmp_path)
    folder = store.start_over("abc", "dense")
    (folder / "half").write_text("of it")
    assert store.read("abc") is None
    assert not (store.start_over("abc", "dense") / "half").exists()
    sealed = store.finish(folder, {"key": "abc"})
    assert store.read("abc") == sealed == {"round_format": 2, "key": "abc"} | {"hash": sealed["hash"]}
    with pytest.raises(RuntimeError, match="never written again"):
        store.start_over("abc", "dense")


@pytest.fixture
def outputs(make_config, tmp_path) -> Path:
    search(make_config(rounds=1, epochs=1), say=lambda line: None)
    return tmp_path / "outputs"


def test_a_ticket_opens_with_plain_safetensors_and_lies_on_a_plain_network(outputs):
    folder = next(outputs.glob("rounds/*round01*"))
    with safe_open(folder / "ticket.safetensors", "np") as ticket:
        about = json.loads(ticket.metadata()["lth"])
        masks = {n: np.unpackbits(ticket.get_tensor(n), count=np.prod(s)).reshape(s) for n, s in about["shapes"].items()}
    with safe_open(folder / "start.safetensors", "np") as start:
        weights = {n: start.get_tensor(n) for n in start.keys()}  # noqa: SIM118
    ours = load_ticket(folder)
    for name, tensor in ours.start.items():
        assert np.array_equal(weights[name] * masks.get(name, 1), tensor.numpy())
    assert about["density"] == ours.density


def test_any_flipped_byte_of_a_ticket_is_caught(outputs):
    folder = next(outputs.glob("rounds/*round01*"))
    start = folder / "start.safetensors"
    for path in (folder / "ticket.safetensors", start):
        whole = path.read_bytes()
        for place in (*range(0, len(whole), len(whole) // 23), -1):
            damaged = bytearray(whole)
            damaged[place] ^= 4
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="damaged"):
                load_ticket(folder)
        path.write_bytes(whole)
    assert load_ticket(folder).density == 0.8
    start.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        load_ticket(folder)
    with pytest.raises(DataError, match="holds no ticket"):
        load_ticket(outputs)


def command(images: Path, outputs: Path) -> list[str]:
    options = (
        f"data=folder data.root={images} data.image_size=20 data.batch_size=4 epochs=6 seed=3 prune.rounds=3 outputs={outputs}"
    )
    return [sys.executable, "-m", "lth.run", "model=simple_cnn", "trainer=cpu", "logger=none", *options.split()]


def test_killed_in_round_two_and_repeated_equals_uninterrupted(images, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command(images, tmp_path / "a"), check=True, capture_output=True, env=environment)

    process = subprocess.Popen(
        command(images, tmp_path / "b"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("round 2/3") and "epoch 2/6" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.stderr.close()
    assert process.wait() == -signal.SIGKILL
    finished = sorted(p.parent.name for p in (tmp_path / "b").glob("rounds/*/round.json"))
    assert [name.split("round")[1][:2] for name in finished] == ["00", "01"]
    before = {name: (tmp_path / "b" / "rounds" / name / "round.json").stat().st_mtime_ns for name in finished}

    again = subprocess.run(command(images, tmp_path / "b"), check=True, capture_output=True, env=environment, text=True)
    assert "round 1/3, " not in again.stderr, "finished rounds are not trained again"
    for name, time_written in before.items():
        assert (tmp_path / "b" / "rounds" / name / "round.json").stat().st_mtime_ns == time_written
    names = sorted(p.parent.name for p in (tmp_path / "a").glob("rounds/*/round.json"))
    assert len(names) == 4
    for name in names:
        for file in ("final.safetensors", "ticket.safetensors"):
            assert (tmp_path / "a/rounds" / name / file).read_bytes() == (tmp_path / "b/rounds" / name / file).read_bytes()


def test_two_processes_on_one_folder_train_each_round_once(images, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    both = [
        subprocess.Popen(
            command(images, tmp_path / "o"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outs, errors = zip(*(process.communicate() for process in both))
    told = "".join(errors)
    assert "waiting for another process" in "".join(outs)
    assert [process.returncode for process in both] == [0, 0]
    for k in range(4):
        assert told.count(f"round {k}/3, ") == 6, "six epochs of each round, once"
    rows = (tmp_path / "o" / "results.csv").read_text().splitlines()
    assert len(rows) == len(set(rows)) == 5
