"""The section on exported networks, from invented cards beside invented rounds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lth.report.__main__ as report
from lth.analysis import naming, table
from lth.analysis.ends import EARLY_STOP
from lth.report import build, cards, exports, sections
from lth.tree import record
from tests.report.invent_rounds import outputs

HERE = {"machine": "x86_64", "system": "Linux", "cores": 4, "versions": {"torch": "2.9.0", "onnxruntime": "1.23.0"}}
CHAIN = "lenet all, 20% a round"


def timed(runtime: str, dense: float, **ms: float) -> list[dict[str, Any]]:
    """Rows of a card: at batch 32 ten times as slow as at batch 1; on four threads twice as fast as on one."""
    every = {"dense": dense, **ms}
    return [
        {
            "runtime": runtime, "batch": batch, "threads": threads,
            "ms": {n: t * slower / threads**0.5 for n, t in every.items()}, "ratio": {n: t / dense for n, t in ms.items()},
        }
        for batch, slower in ((1, 1), (32, 10)) for threads in (1, 4)
    ]  # fmt: skip


def card(of: record.Record, **changes: Any) -> dict[str, Any]:
    return {
        "format": "lth-card-1", "round": of.name, "key": of.key, "density": of.density, "test_acc": of.test_acc,
        "dense_test_acc": 0.7, "parameters": {"dense": 400_000, "remaining": 200_000, "exported": 300_000},
        "agreement": {"eager ticket": {"test_acc": of.test_acc}}, "flops": {"dense": 2000, "exported": 1500},
        "bytes": {"model.onnx": 1_250_000, "model.safetensors": 900_000}, "dense_bytes": 1_600_000,
        "latency": timed("eager", 4.0, ticket=3.0) + timed("onnxruntime", 2.0, ticket=0.5), "machine": HERE, "folder": "gone",
    } | changes  # fmt: skip


def put(root: Path, name: str, content: Any) -> None:
    """Write a card, or text as it is, into the folder of exports."""
    (root / "exports").mkdir(exist_ok=True)
    (root / "exports" / name).write_text(content if isinstance(content, str) else json.dumps(content))


def rounds_of(root: Path, seed: int = 0) -> list[record.Record]:
    """The dense network and the tickets of a seed, of ``root``."""
    return sorted((r for r in record.read(root).records if r.seed == seed and not r.control), key=lambda r: r.round)


@pytest.fixture
def root(tmp_path) -> Path:
    """Two seeds of a dense network, two tickets and a control; no exports."""
    return outputs(tmp_path, seeds=2, rounds=2, files=False)


def shown(root: Path) -> tuple[list[cards.Export], dict[tuple[str, str], str]]:
    found = record.read(root)
    read = cards.read(found)
    assert found.skipped == []
    return read, naming.headings(found.records)


def test_without_exports_there_is_no_section(root):
    found = record.read(root)
    assert cards.read(found) == []
    titles = [part.title for part in sections.of_data("stripes", found.records, found, EARLY_STOP)]
    assert "Exported networks" not in titles
    assert "Accuracy against cost" in titles


def test_a_row_an_export_below_its_dense_network(root):
    _, one, two = rounds_of(root)
    fast = {"latency": timed("onnxruntime", 2.2, ticket=0.5, int8=0.2)}
    int8 = {"agreement": {"onnxruntime int8": {"test_acc": 0.71}}, "bytes": {"model.int8.onnx": 310_000}}
    put(root, f"{one.name}.json", card(one))
    put(root, f"{two.name}.json", card(two, **fast, **int8))
    frame = exports.table(*shown(root))
    assert frame.to_numpy().tolist() == [
        ["lenet all, dense", "0", "100.00%", "0.700", "400,000", "-", "1.60", "2.00 to 2.20", "-", "20.0 to 22.0", "-"],
        [f"{CHAIN}, round 1, exported", "0", "80.00%", "0.720", "300,000", "1.25", "0.900", "0.500", "4.00", "5.00", "4.00"],
        [f"{CHAIN}, round 2, exported", "0", "64.00%", "0.740", "300,000", "-", "-", "0.500", "4.40", "5.00", "4.40"],
        [f"{CHAIN}, round 2, exported, int8", "0", "64.00%", "0.710", "300,000", "0.310", "-", "0.200", "11.00", "2.00", "11.00"],
    ]
    titles = ["implementation", "seed", "weights remaining", "test accuracy at the last epoch", "parameters", "ONNX, MB"]
    times = [title.format(batch) for batch in (1, 32) for title in ("ms (batch {})", "dense / exported (batch {})")]
    assert list(frame) == [*titles, "safetensors, MB", *times]


def test_the_caption_names_the_end_point_n_and_the_machine(root):
    for seed in (0, 1):
        put(root, f"{(one := rounds_of(root, seed)[1]).name}.json", card(one))
    text = exports.caption(shown(root)[0])
    for words in (
        "Test accuracy at the last epoch, whose weights are exported",
        ", 2 seeds.",
        "Times are measured: ",
        "on one thread",
        "ONNX Runtime: 4 cores (x86_64, Linux), torch 2.9.0, onnxruntime 1.23.0.",
    ):
        assert words in text


def test_points_are_exports_and_their_dense_networks(root):
    dense, one, two = rounds_of(root)
    put(root, f"{one.name}.json", card(one))
    put(root, f"{two.name}.json", card(two, latency=timed("onnxruntime", 2.2, ticket=0.4)))
    read, names = shown(root)
    plot = exports.latency(read, names, "stripes")
    assert plot.title == "stripes: accuracy against measured latency, at the last epoch, whose weights are exported, 1 seed"
    assert (plot.x.title, plot.y.title) == ("ms at batch 1, one thread, ONNX Runtime", "test accuracy at the last epoch")
    assert "4 cores (x86_64, Linux)" in plot.note
    assert [(line.label, line.x, line.y, line.dash) for line in plot.lines] == [
        ("lenet all, dense", [2.0, 2.2], [0.7, 0.7], ""),
        (f"{CHAIN}, exported", [0.5, 0.4], [one.test_acc, two.test_acc], ""),
    ]
    assert plot.lines[1].notes == ["round 1, 80%, seed 0, dense / exported: 4.00", "round 2, 64%, seed 0, dense / exported: 5.50"]
    sizes = exports.file_size(read, names, "stripes")
    assert sizes.title == "stripes: accuracy against file size, at the last epoch, whose weights are exported, 1 seed"
    assert (sizes.x.title, sizes.x.form) == ("model.safetensors, MB", "number")
    assert [(line.label, line.x) for line in sizes.lines] == [
        ("lenet all, dense", [1.6]),
        (f"{CHAIN}, exported", [0.9, 0.9]),
    ], "one dense network is one file"
    dense_alone = cards.of_card(card(dense), dense)
    assert [line.label for line in exports.latency([dense_alone], names, "").lines][1] == "lenet all, dense, exported"


def test_eager_times_stand_where_onnx_runtime_was_not_measured_and_none_where_none_was(root):
    _, one, two = rounds_of(root)
    put(root, f"{one.name}.json", card(one, latency=timed("eager", 4.0, ticket=3.0), bytes={"model.pt2": 5}))
    put(root, f"{two.name}.json", card(two, latency=[], bytes={"model.onnx": 1_000_000}))
    read, names = shown(root)
    assert exports.latency(read, names, "").x.title == "ms at batch 1, one thread, PyTorch, eager"
    assert exports.file_size(read, names, "") is None
    assert exports.latency(read[1:], names, "") is None
    assert exports.caption(read[1:]).endswith("No time was measured.")
    assert not [title for title in exports.table(read[1:], names) if "ms" in title or "dense /" in title]


def test_times_of_two_machines_or_runtimes_are_told_apart(root):
    _, one, two = rounds_of(root)
    other = {"machine": HERE | {"cores": 96}, "latency": timed("onnxruntime", 1.0, ticket=0.25)}
    put(root, f"{one.name}.json", card(one))
    put(root, f"{two.name}.json", card(two, **other))
    read, names = shown(root)
    frame = exports.table(read, names)
    on = [f"ONNX Runtime on machine {number}" for number in (1, 2)]
    assert list(frame["measured in"]) == [on[0], on[0], on[1], on[1]]
    assert list(frame["ms (batch 1)"]) == ["2.00", "0.500", "1.00", "0.250"], "a dense network stands once a machine"
    plot = exports.latency(read, names, "")
    assert plot.x.title == "ms at batch 1, one thread"
    assert {line.label for line in plot.lines} == {
        f"{name}, {place}" for name in ("lenet all, dense", f"{CHAIN}, exported") for place in on
    }
    assert f"{on[1]}: 96 cores" in exports.caption(read)
    eager = [read[0], replace(read[0], runtime="PyTorch, eager")]
    assert list(exports.table(eager, names)["measured in"])[1:] == ["ONNX Runtime", "PyTorch, eager", "PyTorch, eager"]


def test_each_export_of_a_round_has_a_row_that_names_its_folder(root):
    _, one, two = rounds_of(root)
    put(root, f"{one.name}.0123abcd.json", card(one, folder="here/whole"))
    put(root, f"{one.name}.4567abcd.json", card(one, folder="here/small", parameters={"dense": 400_000, "exported": 200_000}))
    put(root, f"{two.name}.0123abcd.json", card(two))
    frame = exports.table(*shown(root))
    assert list(frame["exported to"]) == ["-", "whole", "small", "-"]
    assert list(frame["parameters"]) == ["400,000", "300,000", "200,000", "300,000"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "JSONDecodeError"),
        ("[" * 100_000, "RecursionError"),
        ("\x00", "JSONDecodeError"),
        ("[]", "TypeError"),
        ("{}", "KeyError: 'format'"),
        ({"format": "lth-card-2"}, "its format is not lth-card-1"),
        ({"key": "another"}, "it is of another round"),
        ({"test_acc": 1.5}, "1.5 is no fraction"),
        ({"test_acc": float("nan")}, "nan is no fraction"),
        ({"dense_test_acc": "0.5"}, "'0.5' is no fraction"),
        ({"bytes": {"model.onnx": -1}}, "-1 is no positive number"),
        ({"dense_bytes": 10**400}, "is no positive number"),
        ({"dense_bytes": True}, "True is no positive number"),
        ({"latency": timed("eager", 1.0, ticket=0.0)}, "0.0 is no positive number"),
        ({"latency": timed("eager", 1.0)}, "KeyError: 'ticket'"),
        ({"latency": ["row"]}, "TypeError"),
        ({"latency": None}, "TypeError"),
        ({"agreement": "no"}, "ValueError"),
        ({"machine": "mine"}, "TypeError"),
    ],
)
def test_a_damaged_or_foreign_card_is_left_out_in_one_line(root, content, why):
    _, one, two = rounds_of(root)
    put(root, f"{one.name}.json", content if isinstance(content, str) else card(one) | content)
    put(root, f"{two.name}.json", card(two))
    found = record.read(root)
    assert [export.record for export in cards.read(found)] == [two]
    cards.read(found)
    [(name, said)] = found.skipped
    assert name == f"exports/{one.name}.json"
    assert why in said
    assert "\n" not in said


def test_what_is_no_card_here_is_named_and_what_a_filter_left_out_is_not(root, capsys, monkeypatch):
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")
    (_, one, _), (_, other, _) = rounds_of(root), rounds_of(root, 1)
    put(root, f"{one.name}.json", card(one))
    put(root, f"{other.name}.json", "{")
    put(root, "notes.json", {"buy": "milk"})
    put(root, ".0123.draft.json", "")
    (root / "exports" / "folder.json").mkdir()
    assert report.report([str(root), "seed=0"]) == 0
    said = [line.split(maxsplit=2)[2] for line in capsys.readouterr().out.splitlines() if line.startswith("left out")]
    assert said == [f"exports/{name}.json: no round here has its name" for name in ("folder", "notes")]
    page = (root / "report" / "report.html").read_text()
    assert "<li>exports/notes.json: no round here has its name</li>" in page
    assert page.count('id="latency-stripes"') == page.count('id="file_size-stripes"') == 1
    assert page.index("Accuracy against cost") < page.index("Exported networks") < page.index("Rounds</h2>")


def test_an_export_belongs_to_the_data_set_of_its_round(tmp_path):
    outputs(tmp_path, seeds=1, rounds=1, files=False)
    outputs(tmp_path, seeds=1, rounds=1, files=False, data="dots", recipe="123456abcdef", model="conv2")
    found = record.read(tmp_path)
    one = next(r for r in found.records if r.data == "dots" and r.round and not r.control)
    put(tmp_path, f"{one.name}.json", card(one))
    for data, is_there in (("stripes", False), ("dots", True)):
        records = [r for r in found.records if r.data == data]
        assert bool(exports.part(data, records, found).inside) == is_there


def test_names_in_cards_cannot_become_html(root, monkeypatch):
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")
    evil = "<script>alert(1)</script>"
    one = rounds_of(root)[1]
    put(root, f"{one.name}.json", card(one, machine=HERE | {"machine": evil, "versions": {evil: evil}}, bytes={evil: 1}))
    put(root, f"{evil[:8]}.json", "{}")
    page = dict(build.files("title", record.read(root)))["report.html"].decode()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_costs_that_were_not_measured_are_called_theoretical(root):
    records = [replace(r, speedup=1.5) for r in record.read(root).records]
    assert "theoretical speed-up" in table.table(records)
    parts = sections.of_data("stripes", records, record.Found(records), EARLY_STOP)
    costs = next(part for part in parts if part.title == "Accuracy against cost")
    assert {plot.x.title.split()[0] for plot in costs.figures.values()} == {"theoretical"}
    assert "nothing here was timed" in costs.text
