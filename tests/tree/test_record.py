"""The one reader of round.json, and what is made from records: results.csv, ``lth.rounds``."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import pytest

import lth
from lth.errors import DataError
from lth.hashes import of_record
from lth.tree import results
from lth.tree.record import Record, load, read
from tests.tree.rounds import facts, finish


def forge(path, **changes):
    """Change round.json, with a hash that fits; a field that becomes ``...`` is left out."""
    content = {name: value for name, value in (json.loads(path.read_text()) | changes).items() if value is not ...}
    path.write_text(json.dumps(content | {"hash": of_record(content)}))


DAMAGES = {  # what the sentence names, and the damage
    "Unterminated string": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "does not match its hash": lambda path: path.write_text(path.read_text().replace("0.5", "0.6", 1)),
    r"does not match its hash.*": lambda path: path.write_text("[1]"),
    "its round format is not 2": lambda path: forge(path, round_format=1),
    "density='7'": lambda path: forge(path, density="7"),
    "seconds=nan": lambda path: forge(path, seconds=float("nan")),
    "seconds=inf": lambda path: forge(path, seconds=float("inf")),
    "key=None": lambda path: forge(path, key=None),
    r"missing .*'val_acc'": lambda path: forge(path, val_acc=...),
}


@pytest.mark.parametrize("sentence", DAMAGES)
def test_damage_is_one_sentence_for_every_reader(tmp_path, sentence):
    good, bad = finish(tmp_path), finish(tmp_path, round=1)
    DAMAGES[sentence](bad.folder / "round.json")
    with pytest.raises(DataError, match=rf"round\.json is damaged, or of another lth \(.*{sentence}"):
        load(bad.folder)
    skipped = read(tmp_path).skipped
    assert [name for name, _ in skipped] == [bad.folder.name]
    assert str(tmp_path) not in skipped[0][1], "a report may travel"
    with pytest.warns(UserWarning, match=sentence) as warned:
        assert list(lth.rounds(tmp_path)["key"]) == [good.key]
    assert warned[0].filename == __file__


def test_an_unknown_field_is_passed_over_and_an_integer_is_a_number():
    record = Record.of(facts(seconds=2, portrait="of an earlier lth"))
    assert (record.seconds, record.parent, record.held) == (2, None, True)
    assert not Record.of(facts(checks={"zeros": {"holds": True}, "nested": {"holds": False}})).held


def test_unfinished_rounds_and_copies_are_skipped_and_filters_choose(tmp_path):
    records = [finish(tmp_path, round=k, seed=k % 2, key=f"{k:012x}") for k in range(3)]
    shutil.copytree(records[0].folder, tmp_path / "rounds" / "x copy")
    for name in ("training", ".locks"):
        (tmp_path / "rounds" / name).mkdir(exist_ok=True)
    everything = read(tmp_path)
    assert everything.records == records
    assert [record.folder for record in everything.records] == [record.folder for record in records]
    assert [name for name, _ in everything.skipped] == ["training", "x copy"]
    assert "a copy: another folder holds round 000000000000" in everything.skipped[1][1]
    assert read(tmp_path, {"seed": ["1"], "model": ["m", "n"]}).records == records[1:2]
    assert read(tmp_path / "nowhere").records == []


def test_results_csv_is_in_the_order_of_time_and_has_a_column_for_what_varied():
    records = [Record.of(facts(round=k, finished=f"2026-01-0{3 - k}", command='a "b",\nc')) for k in range(3)]
    header, *rows = csv.reader(results.to_csv(records).decode().splitlines(keepends=True))
    assert header == results.COLUMNS
    assert {"key", "parent", "density", "early_stop_test_acc", "barrier", "command"} <= set(header)
    assert [row[0] for row in rows] == [record.key for record in reversed(records)]
    assert dict(zip(header, rows[0]))["command"] == 'a "b",\nc'
    assert dict(zip(header, rows[0]))["early_stop_test_acc"] == str(records[2].early_stop_test_acc)
    assert dict(zip(header, rows[0]))["parent"] == ""
    other = dataclasses.replace(records[0], key="9", settings={"data.batch_size": 8, "seed": 1}, finished="2026-01-09")
    header, *rows = csv.reader(results.to_csv([*records, other]).decode().splitlines(keepends=True))
    assert header == [*results.COLUMNS, "data.batch_size"]
    assert [row[-1] for row in rows] == ["64"] * 3 + ["8"]


def test_lth_rounds_has_a_row_for_each_round_with_its_chain_sorted(tmp_path):
    with pytest.raises(DataError, match="holds no rounds"):
        lth.rounds(tmp_path)
    (tmp_path / "rounds").mkdir()
    assert lth.rounds(tmp_path).empty
    for k in (1, 0):
        finish(tmp_path, round=k, images={"test": 36}, layers={"w": 0.8**k}, settings={"prune.rate": 0.2} if k else {})
    finish(tmp_path, round=1, key="c", control="reinit", settings={"prune.rate": 0.2, "data.batch_size": 8})
    frame = lth.rounds(tmp_path)
    assert list(frame["key"]) == [f"{0:012x}", f"{1:012x}", "c"]
    assert list(frame["control"].fillna("")) == ["", "", "reinit"]
    assert list(frame["data.batch_size"]) == [64, 64, 8]
    assert frame["held"].all()
    assert list(frame["images.test"])[:2] == [36, 36]
    assert frame["layers"][1] == {"w": 0.8}
    assert not {"checks", "files", "prune.rate"} & set(frame)
    assert all(load(Path(folder)).key == key for folder, key in zip(frame["folder"], frame["key"]))
