"""``lth.rounds(outputs)``: finished rounds as a table, whatever was imported before."""

import json
import shutil
import subprocess
import sys

import pytest

import lth
from lth.errors import DataError
from lth.hashes import of_record
from lth.training.search import search


def test_one_row_a_finished_round_with_columns_for_its_scores(make_config, tmp_path):
    config = make_config(rounds=1, epochs=1, rate=0.5)
    config.prune.controls = "reinit"
    records = search(config, say=lambda line: None)
    frame = lth.rounds(tmp_path / "outputs")
    assert list(frame["key"]) == [record["key"] for record in records]
    assert list(frame["test_acc"]) == [record["test_acc"] for record in records]
    assert list(frame["control"].fillna("")) == ["", "", "reinit"]
    assert list(frame["parent"].fillna("")) == ["", records[0]["key"], records[1]["key"]]
    assert frame["proved"].all()
    assert set(frame["images.test"]) == {36}
    assert frame["layers"][1] == records[1]["layers"]
    assert [lth.load_ticket(folder).density for folder in frame["folder"]] == list(frame["density"])


def test_unfinished_and_damaged_rounds_are_named_and_left_out(tmp_path):
    whole = {
        "round_format": 2,
        "key": "k",
        "model": "m",
        "data": "d",
        "recipe": "r",
        "seed": 0,
        "step": "",
        "round": 0,
        "density": 1.0,
    }
    whole |= {"round_format": 2, "test_acc": 0.5, "checks": {"nested": {"holds": True}}}
    sealed = json.dumps(whole | {"hash": of_record(whole)})
    contents = {"whole": sealed, "empty": "{}", "cut": '{"key": "k", "mo', "list": "[1]", "deep": "[" * 10**5}
    for name, content in (contents | {"other": sealed.replace("0.5", "0.6")}).items():
        (tmp_path / "rounds" / name).mkdir(parents=True)
        (tmp_path / "rounds" / name / "round.json").write_text(content)
    shutil.copytree(tmp_path / "rounds" / "whole", tmp_path / "rounds" / "whole copy")
    (tmp_path / "rounds" / "training").mkdir()
    (tmp_path / "rounds" / ".locks").mkdir()
    with pytest.warns(UserWarning, match=r"left out of .*: cut \(damaged") as told:
        frame = lth.rounds(tmp_path)
    for why in (
        "cut (damaged",
        "deep (damaged",
        "empty (damaged",
        "list (damaged",
        "other (damaged: ",
        "does not match its seal",
        "training (not",
        "whole copy (a copy of round k)",
    ):
        assert why in str(told[0].message)
    assert told[0].filename == __file__
    assert list(frame["key"]) == ["k"]


def test_a_folder_without_rounds_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="holds no rounds"):
        lth.rounds(tmp_path)
    (tmp_path / "rounds").mkdir()
    assert lth.rounds(tmp_path).empty


@pytest.mark.parametrize("first", ["", "import lth.rounds", "from lth.tree.store import Store", "from lth import rounds"])
def test_the_name_is_package_and_function_in_every_order_of_imports(first, tmp_path):
    (tmp_path / "rounds").mkdir()
    code = f"import sys, lth\n{first}\nassert lth.rounds({str(tmp_path)!r}).empty\n"
    code += "import lth.tree.spec\nassert lth.tree.spec.chain\nfrom lth import rounds\nassert rounds is lth.rounds\n"
    code += f"assert rounds({str(tmp_path)!r}).empty\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
