"""results.csv, written from the records."""

import csv

from lth.tree import results as ledger
from lth.tree import sheet
from tests.analysis.invent import record


def records():
    return [record(0, k) | {"key": f"{k}", "finished": f"2026-01-0{3 - k}", "command": 'a "b",\nc'} for k in range(3)]


def test_rows_are_in_the_order_in_which_rounds_were_finished(tmp_path):
    ledger.write(tmp_path / "results.csv", records())
    rows = ledger.rows((tmp_path / "results.csv").read_bytes())
    assert [row["key"] for row in rows] == ["2", "1", "0"]
    assert list(rows[0]) == list(sheet.COLUMNS)
    assert rows[0]["early_stop_test_acc"] == str(records()[2]["early_stop_test_acc"])
    assert rows[0]["command"] == 'a "b",\nc'


def test_a_round_that_joins_may_bring_a_column(tmp_path, capsys):
    path = tmp_path / "results.csv"
    ledger.write(path, records())
    joined = [*records(), record(0, 0, recipe="other", settings={"data.batch_size": 8}) | {"key": "9", "finished": "2026-01-09"}]
    ledger.write(path, joined)
    rows = ledger.rows(path.read_bytes())
    assert [row["data.batch_size"] for row in rows] == ["64"] * 3 + ["8"]
    assert not ledger.differs(path.read_bytes(), joined)
    assert capsys.readouterr().err == "", "it was right, and lacked a round"


def test_a_file_that_says_something_else_is_named_and_written_again(tmp_path, capsys):
    path = tmp_path / "results.csv"
    ledger.write(path, records())
    right = path.read_bytes()
    for wrong in (right.replace(b"0.51", b"0.61", 1), b"", b"\xff", b"key,name\nabc,def\n", right[:-40]):
        path.write_bytes(wrong)
        assert ledger.differs(wrong, records())
        ledger.write(path, records())
        assert path.read_bytes() == right
        assert capsys.readouterr().err.count("results.csv is not what its rounds say") == 1
    path.unlink()
    path.mkdir()
    ledger.write(path, records())
    assert path.read_bytes() == right


def test_what_is_right_is_not_written_again(tmp_path):
    path = tmp_path / "results.csv"
    ledger.write(path, records())
    before = path.stat().st_mtime_ns, path.stat().st_ino
    ledger.write(path, records())
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    assert next(csv.reader(path.read_text().splitlines()))[0] == "key"
