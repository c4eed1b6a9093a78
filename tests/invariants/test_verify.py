"""The doctor finds whatever is changed in a finished round, and nothing in one that is as it was written."""

import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lth.errors import DataError, UsageError
from lth.hashes import of_file, of_record
from lth.invariants.verify import verify
from lth.tree.store import load
from tests.invariants.patient import Patient, experiment, told


def test_a_healthy_tree_is_whole(healthy):
    lines = told(healthy)
    assert [line for line in lines[:-1] if not line.startswith("ok ")] == []
    assert lines[-1] == f"{len(lines) - 1} rounds: {len(lines) - 1} ok, 0 broken"
    assert len(lines) - 1 == len(list(healthy.glob("rounds/*/round.json")))


def places(path: Path) -> list[int]:
    """All bytes of a small file; of others the header, the end, and some at random."""
    size = path.stat().st_size
    return list(range(size)) if size < 3000 else [*range(300), *random.Random(0).sample(range(size), 300), size - 1]


def test_any_flipped_byte_of_any_file_is_caught(patient):
    for name in patient.record["files"]:
        path = patient.folder / name
        whole = path.read_bytes()
        for place in places(path):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
            assert patient.ask() == f"{path.name} is damaged: it does not match its hash.", place
        for damaged in (whole[:-1], whole + b"\0", b""):
            path.write_bytes(damaged)
            assert patient.ask()
        path.write_bytes(whole)
    assert patient.ask() == ""


def test_flipped_weights_of_a_point_are_caught(tree):
    patient = Patient(tree, rewind="9it")
    [path] = tree.glob("points/*-9.safetensors")
    whole = path.read_bytes()
    for place in range(len(whole) - 2000, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "does not match its hash; delete it" in patient.ask()
    path.unlink()
    assert patient.ask() == "", "it is made again when it is needed"


def leaves(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths to all numbers, texts, truths and nulls, and to all that is empty."""
    inside = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [leaf for name, below in inside for leaf in leaves(below, (*path, name))] or [path]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, (int, float)) else f"{value}0" if isinstance(value, str) else 0


def edited(record: dict[str, Any], path: tuple) -> dict[str, Any]:
    new = place = copy.deepcopy(record)
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = other(place[path[-1]])
    return new


def test_any_edited_entry_of_a_record_is_caught(patient):
    everything = leaves(patient.record)
    assert len(everything) > 150
    for path in everything:
        assert "it does not match its seal; delete the folder" in patient.write(edited(patient.record, path), sealed=False), path
    without = {name: value for name, value in patient.record.items() if name != "hash"}
    assert "it has no seal" in patient.write(without, sealed=False)


# What no other file of the round tells; the seal alone keeps it.
ALONE = {
    "data", "accelerator", "versions", "command", "finished", "seconds", "images_per_second", "best_test_acc",
    "early_stop_test_acc", "test", "proof/start", "proof/zeros", "proof/untouched", "proof/ranks",
}  # fmt: skip


def test_an_edited_entry_contradicts_another_one_or_a_file(patient):
    for path in leaves({name: value for name, value in patient.record.items() if name != "hash"}):
        sentence = patient.write(edited(patient.record, path), sealed=True)
        assert sentence or path[0] in ALONE or "/".join(path[:2]) in ALONE, path
        assert "\n" not in sentence
    for name in {"key", "checks", "files", "start", "determined_by", "layers", "test_confusion", "classes"}:
        assert patient.write({k: v for k, v in patient.record.items() if k != name}, sealed=True), name


def test_every_deleted_file_is_caught(tree, patient):
    for path in [patient.folder / name for name in patient.record["files"]]:
        whole = path.read_bytes()
        path.unlink()
        assert patient.ask().endswith("is missing; delete the folder to train it again.")
        path.write_bytes(whole)
    (patient.folder / "round.json").unlink()
    assert told(tree)[0] == f"broken  {patient.folder.name}: results.csv lists it as finished, but it has no round.json."


def test_children_of_a_broken_or_missing_round_are_broken(tree):
    roots = {p: load(p)["key"] for p in tree.glob("rounds/*round00*")}
    root = next(p for p, key in roots.items() if sum(load(q)["parent"] == key for q in tree.glob("rounds/*round01*")) > 5)
    others = len(roots) - 2  # longer trained ones; the order control of round 0 is a child
    (root / "metrics.csv").write_text("")
    lines = told(tree)
    assert sum(line.startswith("ok ") for line in lines) == others
    assert sum(f"its parent {root.name} is broken" in line for line in lines) > 5
    shutil.rmtree(root)
    (tree / "results.csv").unlink()
    lines = told(tree)
    assert sum(line.startswith("ok ") for line in lines) == others
    assert sum(f"its parent {roots[root]} is missing" in line for line in lines) > 5


def test_a_record_that_is_no_record_is_one_sentence(patient):
    for text in ("", "{", "[]", "null", "{}", '{"hash": 1}', "\xff"):
        (patient.folder / "round.json").write_bytes(text.encode("latin-1"))
        sentence = patient.ask()
        assert "round.json is damaged" in sentence
        assert "\n" not in sentence
    assert "round.json is of round format 1; this lth reads format 2 alone" in patient.write({}, sealed=True)
    assert patient.write({"round_format": 2}, sealed=True) == "round.json or a file's header lacks 'determined_by'."


def test_a_search_refuses_a_damaged_round(images, tmp_path):
    experiment(images, tmp_path, rounds=1)
    [folder] = tmp_path.glob("rounds/*round00*")
    whole = (folder / "round.json").read_text()
    (folder / "round.json").write_text(whole.replace('"seed": 1', '"seed": 2'))
    with pytest.raises(
        DataError, match=r"round.json is damaged: it does not match its seal; delete the folder to train it again"
    ):
        experiment(images, tmp_path, rounds=1)
    (folder / "round.json").write_text(whole)
    (folder / "final.safetensors").unlink()
    with pytest.raises(DataError, match=r"final.safetensors is missing; delete the folder"):
        experiment(images, tmp_path, rounds=1)
    shutil.rmtree(folder)
    experiment(images, tmp_path, rounds=1)
    assert told(tmp_path)[-1] == "2 rounds: 2 ok, 0 broken"


def test_a_seal_does_not_depend_on_order_or_on_having_been_written():
    record = {"b": 0.1 + 0.2, "a": {"y": 1e-310, "x": [1.0, 1, float("nan")]}, "é": None}
    assert of_record(json.loads(json.dumps(record, indent=1))) == of_record(record) == of_record(dict(reversed(record.items())))
    assert of_record(record | {"hash": "x"}) == of_record(record)
    assert of_record(record | {"b": 0.3}) != of_record(record)


def test_where_nothing_was_finished_there_is_nothing_to_verify(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere is no folder; name the outputs"):
        verify(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no finished round"):
        verify(tmp_path)


def test_a_results_csv_that_is_no_text_or_has_another_number_is_named(tree):
    path = tree / "results.csv"
    whole, rounds = path.read_bytes(), len(list(tree.glob("rounds/*/round.json")))
    for content, sentence in ((b"key,name\n\xff", "cannot be read"), (whole.replace(b"0.", b"1.", 1), "is not what was written")):
        path.write_bytes(content)
        lines: list[str] = []
        assert verify(tree, say=lines.append) == 1
        assert re.fullmatch(
            rf"broken  .*results.csv {sentence}.*; delete it, and repeated commands enter their rounds\.", lines[0]
        )
        assert sum(line.startswith("ok ") for line in lines) == rounds
    path.unlink()
    path.mkdir()
    assert verify(tree, say=lines.append) == 1


def test_flipped_predictions_are_named(tree):
    path = next(tree.glob("rounds/*round02*/predictions.npy"))
    path.write_bytes(path.read_bytes()[:-8] + b"\x01" + path.read_bytes()[-7:])
    assert any("predictions.npy is damaged: it does not match its hash" in line for line in told(tree))


def door(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "lth.verify", *arguments], check=False, capture_output=True, text=True)


def test_a_damaged_list_of_test_images_is_named(tree):
    [path] = tree.glob("tests/*.json")
    whole = path.read_text()
    for content in (whole.replace("across", "acrost", 1), "", "[]"):
        path.write_text(content)
        assert f"list of test images {path} is" in "".join(told(tree))
    path.unlink()
    assert "is missing or damaged" in "".join(told(tree))


def test_predictions_that_contradict_the_confusion_matrix_are_named(tree):
    patient = Patient(tree, rewind="init")
    path = patient.folder / "predictions.npy"
    np.save(path, 1 - np.load(path).clip(0, 1))
    record = copy.deepcopy(patient.record)
    record["files"]["predictions.npy"] = of_file(path)
    assert "predictions.npy gives another confusion matrix" in patient.write(record, sealed=True)


@pytest.mark.parametrize("name", ["verify", "report"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_is_gone_is_one_sentence(tree, tmp_path, name, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", f"lth.{name}", str(tree), *(["--to", str(tmp_path)] if name == "report" else [])]
    own = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    told = subprocess.run(line, check=False, stdout=writer, stderr=subprocess.PIPE, text=True, env=own)
    os.close(writer)
    assert (told.returncode, told.stderr) == (1, "lth: [Errno 32] Broken pipe\n")


def test_the_door_prints_a_line_a_round_and_exits_with_what_it_found(tree):
    good = door(str(tree))
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.splitlines()[-1].endswith(" 0 broken")
    (next(tree.glob("rounds/*round02*order*")) / "metrics.csv").unlink()
    bad = door(str(tree))
    assert (bad.returncode, bad.stderr) == (1, "")
    assert len(bad.stdout.splitlines()) == len(good.stdout.splitlines())
    assert sum(line.startswith("broken ") for line in bad.stdout.splitlines()) == 1
    none = door(str(tree / "nowhere"))
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == f"lth: {tree / 'nowhere'} is no folder; name the outputs of an experiment.\n"
