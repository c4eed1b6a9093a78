import csv
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth import report
from lth.results import plot
from lth.results.report import build, choose, costs, html, images, interactive, read, tree, weights
from lth.seals import sha256
from tests.results.invent_rounds import outputs, rewrite

FIGURES = {
    "accuracy", "early_stop", "flops", "size", "curves_loss", "curves_accuracy", "density", "overlap_seeds", "overlap", "weights",
    "confusion_dense", "confusion_ticket", "confusion_difference", "classes",
}  # fmt: skip
EVIL = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "%{x}$&\"'"]


@pytest.fixture
def quick(monkeypatch):
    """Without pictures, which take most of the time."""
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A report of invented rounds, one of which is unfinished and one damaged."""
    root = outputs(tmp_path_factory.mktemp("outputs"))
    (root / "rounds" / "unfinished").mkdir()
    (root / "rounds" / "torn").mkdir()
    (root / "rounds" / "torn" / "round.json").write_text('{"key": "torn", "round": ')
    report.report([str(root)])
    return root / "report"


def test_a_report_has_tables_figures_and_a_page(made):
    rows = list(csv.DictReader((made / "results.csv").read_text().splitlines()))
    assert len(rows) == 2 * 6
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in (made / "results.md").read_text().splitlines()]
    titles = ["implementation", "learning rate", "train accuracy", "valid accuracy", "test accuracy", "weights remaining", "n"]
    assert lines[0] == titles
    assert lines[2] == ["lenet, all on stripes, dense", "0.002", *["0.900 ± 0.000", *["0.705 ± 0.007"] * 2], "100.00%", "2"]
    assert len(lines) == 2 + 6, "a row a round and control"
    for form in ("png", "svg"):
        assert {p.stem for p in made.glob(f"figures/*.{form}")} == {f"{name}-stripes" for name in FIGURES}
    page = (made / "report.html").read_text()
    assert all(f'id="{name}-stripes"' in page for name in FIGURES)
    assert page.count("python -m lth.run model=lenet seed=") == 2


def test_nothing_in_the_page_comes_from_elsewhere(made):
    page = (made / "report.html").read_text()
    own = page.replace(interactive_library(page), "").replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)|url\(|@import|https?:", own)
    assert "default-src 'none'" in own


def interactive_library(page: str) -> str:
    from plotly.offline import get_plotlyjs

    assert get_plotlyjs() in page
    return get_plotlyjs()


def test_what_is_unfinished_or_damaged_is_named(made, quick, capsys):
    page = (made / "report.html").read_text()
    assert "<td>unfinished</td><td>unfinished: it has no round.json yet</td>" in page
    assert "<td>torn</td><td>damaged" in page
    report.report([str(made.parent), "--to", str(made.parent / "again")])
    said = capsys.readouterr().out
    assert "unfinished: unfinished" in said
    assert "torn: damaged" in said


@pytest.mark.parametrize("name", ["ticket.safetensors", "final.safetensors", "metrics.csv"])
@pytest.mark.parametrize("content", [None, b"", b"\xff" * 100], ids=["missing", "empty", "noise"])
def test_a_damaged_file_of_a_round_is_named_and_the_rest_is_shown(quick, tmp_path, name, content):
    root = outputs(tmp_path, seeds=2, rounds=1)
    for folder in (root / "rounds").iterdir():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    found = read.read(root)
    pages = dict(build.files("title", found))
    assert {why.split()[1] for _, why in found.skipped} <= {name, "weights"}
    assert found.skipped
    assert "figures/accuracy-stripes.png" in pages


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"key": 3}', "\x00", json.dumps({"key": "a"}), "[" * 100000, '{"density": NaN}']
)
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "rounds" / "bad").mkdir(parents=True)
    (tmp_path / "rounds" / "bad" / "round.json").write_text(text)
    found = read.read(tmp_path)
    assert found.records == []
    assert found.skipped[0][0] == "bad"


@pytest.mark.parametrize("name", ["ticket.safetensors", "final.safetensors", "metrics.csv", "predictions.npy", "start"])
def test_a_flipped_bit_is_named_and_not_shown(quick, tmp_path, name):
    root = outputs(tmp_path, seeds=1, rounds=1)
    predicted(root)
    for folder in (root / "rounds").iterdir():
        path = folder / name if name != "start" else root / "starts" / "start0.safetensors"
        path.write_bytes((whole := path.read_bytes())[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
        if name == "start":
            break
    found = read.read(root)
    dict(build.files("title", found))
    assert any("does not match its hash" in why for _, why in found.skipped), found.skipped


def test_a_changed_number_in_a_record_is_named_and_not_shown(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1, files=False)
    path = next((root / "rounds").glob("*/round.json"))
    path.write_text(path.read_text().replace('"test_acc": 0.7', '"test_acc": 0.9', 1))
    found = read.read(root)
    assert found.skipped == [
        (path.parent.name, "damaged: its round.json cannot be read (ValueError: it does not match its seal)")
    ]
    assert path.parent.name not in {record["name"] for record in found.records}


def test_a_chain_whose_dense_network_is_damaged_is_shown_without_it(quick, tmp_path):
    root = outputs(tmp_path, seeds=2, rounds=1)
    for path in (root / "rounds").glob("*seed0-round00*/round.json"):
        path.write_text("{")
    found = read.read(root)
    assert "figures/accuracy-stripes.png" in dict(build.files("title", found))
    assert "round00" in found.skipped[0][0]
    for path in (root / "rounds").glob("*round00*/round.json"):
        path.unlink()
    assert "results.csv" in dict(build.files("title", read.read(root)))


@pytest.mark.parametrize("field", [*read.TEXTS, *read.NUMBERS, *read.WHOLE])
def test_a_field_of_another_kind_is_damage(tmp_path, field):
    outputs(tmp_path, seeds=1, rounds=1, files=False, **({field: []} if field not in ("key", "name", "model") else {}))
    if field in ("key", "name", "model"):
        for path in (tmp_path / "rounds").glob("*/round.json"):
            rewrite(path, json.loads(path.read_text()) | {field: None})
    found = read.read(tmp_path)
    assert found.records == []
    assert all(field in why for _, why in found.skipped)


def test_filters_choose_rounds(tmp_path):
    root = outputs(tmp_path, seeds=3, rounds=1, files=False)
    assert {r["seed"] for r in read.read(root, {"seed": ["0", "2"], "model": ["lenet"]}).records} == {0, 2}
    assert read.read(root, {"data": ["cifar10"]}).records == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{0}/nowhere"], "holds no rounds"),
        (["{0}", "model=other"], "no finished round that passes model=other"),
        (["{0}", "modle=lenet"], "a filter is model="),
        (["{0}", "model="], "a filter is model="),
        (["{0}", "{0}/rounds"], "one outputs folder"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence_and_exit_code_2(tmp_path, arguments, said):
    outputs(tmp_path, seeds=1, rounds=1, files=False)
    command = [sys.executable, "-m", "lth.report", *(a.format(tmp_path) for a in arguments)]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 2
    assert said in told.stderr
    assert len(told.stderr.splitlines()) == 1


def test_names_from_files_cannot_become_html(quick, tmp_path):
    root = outputs(
        tmp_path, classes=EVIL, command="<script>alert(3)</script>", finetune="<b>all", data="</script><script>alert(4)"
    )
    (root / "rounds" / "<img src=x onerror=alert(5)>").mkdir()
    report.report([str(root)])
    page = (root / "report" / "report.html").read_text()
    own = page.replace(interactive_library(page), "")
    for evil in ("<script>alert", "<img src=x", "<b>all", "</script><"):
        assert evil not in own.replace("</script><noscript>", "")
    told = json.loads(re.search(r'id="confusion_dense-[^>]*></div><script type="application/json">(.*?)</script>', own)[1])
    assert told["layout"]["xaxis"]["ticktext"][0] == "&lt;script&gt;ale…(1)&lt;/script&gt;"


def test_a_report_of_the_same_rounds_is_the_same_bytes(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    one, other = (dict(build.files("title", read.read(root))) for _ in range(2))
    assert one == other


def test_a_dense_network_alone_is_reported(quick, tmp_path):
    pages = dict(build.files("title", read.read(outputs(tmp_path, seeds=1, rounds=0))))
    assert b"There are no two tickets" in pages["report.html"]


def test_many_rounds_are_read_in_a_stream(tmp_path):
    for i in range(10):
        outputs(tmp_path, seeds=5, rounds=5, files=False, recipe=f"recipe{i}", family=f"family{i}", model=f"model{i}")
    found = read.read(tmp_path)
    assert len(found.records) == 10 * 5 * 7
    assert all("test_confusion" not in r and "proof" not in r for r in found.records)
    assert len(choose.drawn(found.records, choose.chains(found.records))) == 7 * 5 * 7


def test_the_overlap_is_that_of_the_masks():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 1003)) < 0.3
    packed = [{"w": np.packbits(mask)} for mask in (one, other)]
    assert weights.overlap(*packed) == (one & other).sum() / (one | other).sum()
    assert weights.overlap(packed[0], packed[0]) == 1
    assert abs(weights.by_chance({"w": (1003, 0.3)}) - 0.3 / 1.7) < 1e-12
    with pytest.raises(ValueError, match="different layers"):
        weights.overlap(packed[0], {"w": np.packbits(one[:90])})


def test_the_histogram_is_of_kept_weights_before_and_after(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    record = next(r for r in read.read(root).records if r["round"] == 1 and not r["control"])
    before, after = weights.before_and_after(record)
    assert len(before) == sum(int(np.bitwise_count(b).sum()) for b in weights.bits(record).values()) < 368
    assert np.allclose(after, 2 * before)


def test_the_tree_shows_a_shared_round_once():
    def node(key: str, parent: str | None, seconds: float = 1.0) -> dict:
        return {"key": key, "parent": parent, "seconds": seconds, "control": None, "round": 0, "name": key}

    found = tree.nodes([node("a", None, 10), node("b", "a"), node("c", "a"), node("d", "b"), node("x", "gone")])
    assert [(n.record["key"], n.depth, n.chains) for n in found] == [
        ("a", 0, 2), ("b", 1, 1), ("d", 2, 1), ("c", 1, 1), ("x", 0, 1),
    ]  # fmt: skip
    assert tree.seconds(found) == (14, 24)
    deep = [node("0", None), *(node(str(i), str(i - 1)) for i in range(1, 3000))]
    assert tree.nodes(deep)[-1].depth == 2999


def test_durations_are_for_people():
    assert [tree.clock(s) for s in (3.2, 99, 720, 12000)] == ["3 s", "99 s", "12 min", "3 h 20 min"]


def test_the_pareto_front():
    assert costs.front([(1, 0.5), (2, 0.4), (3, 0.7), (3, 0.6), (4, 0.7), (5, 0.8)]) == [(1, 0.5), (3, 0.7), (5, 0.8)]


def test_the_size_of_a_file():
    record = {"model_density": 0.5, "parameters": 1000, "round": 1, "layers": {"a": (17, 0.5), "b": (900, 0.5)}}
    assert costs.file_bytes(record) == 3 + 113 + 4 * 500
    assert costs.file_bytes(record | {"round": 0, "model_density": 1.0}) == 4000


def test_ticks_are_round_numbers():
    assert plot.log_ticks([0.09, 0.3]) == [0.1, 0.15, 0.2, 0.3]
    assert plot.log_ticks([3, 400]) == [5, 10, 20, 50, 100, 200, 500]
    assert plot.log_ticks([0, None]) == []


def test_json_in_a_page_is_inert_and_strict():
    text = interactive.dumps({"a": ["</script>", float("nan"), np.float64(1.23456789), np.int64(3)]})
    assert text == '{"a":["\\u003c/script>",null,1.23457,3]}'


def test_markdown_of_ours_becomes_html():
    text = "**a <b>**\n\n| x | y |\n|---|---|\n| 1 | <i> |\n\n- one\n- two\n\nend"
    assert html.markdown(text).split("\n") == [
        "<p><strong>a &lt;b&gt;</strong></p>",
        '<div class="scroll"><table><thead><tr><th>x</th><th>y</th></tr></thead><tbody>',
        '<tr><td class="number">1</td><td>&lt;i&gt;</td></tr>',
        "</tbody></table></div>",
        "<ul><li>one</li><li>two</li></ul>",
        "<p>end</p>",
    ]


def listed(root: Path, test: dict) -> str:
    """Writes a list of test images; returns its name."""
    named = json.dumps({part: test[part] for part in ("paths", "labels")})
    name = hashlib.sha256(named.encode()).hexdigest()[:16]
    (root / "tests" / f"{name}.json").write_text(json.dumps(test))
    return name


def predicted(root: Path, pictures: bool = True) -> None:
    """Adds predictions of 6 test images of 2 classes to all rounds: the ticket loses the first and gains the last."""
    (root / "tests").mkdir()
    test = {"root": str(root / "images"), "paths": [f"{i}.png" for i in range(6)], "labels": [0, 0, 0, 1, 1, 1]}
    name = listed(root, test)
    (root / "images").mkdir()
    for i in range(6 if pictures else 0):
        Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(root / "images" / f"{i}.png")
    for path in (root / "rounds").glob("*/round.json"):
        told = json.loads(path.read_text())
        np.save(path.with_name("predictions.npy"), [0, 0, 0, 1, 1, 0] if told["round"] == 0 else [1, 0, 0, 1, 1, 1])
        told["files"]["predictions.npy"] = sha256(path.with_name("predictions.npy"))
        rewrite(path, told | {"test": name})


@pytest.mark.parametrize("pictures", [True, False])
def test_images_that_the_ticket_loses_and_gains(quick, tmp_path, pictures):
    root = outputs(tmp_path, seeds=1, rounds=1)
    predicted(root, pictures)
    found = read.read(root)
    dense, ticket = choose.chains(found.records)[0].ends
    told = images.changes(dense, ticket, found)
    assert (told.n, told.losses, told.gains) == (6, 1, 1)
    case = told.lost[0]
    assert (case.path, case.truth, case.dense, case.ticket) == ("0.png", "across", "across", "down")
    assert case.picture.startswith("data:image/png") == pictures
    assert ("Lost</h4>" in dict(build.files("title", found))["report.html"].decode()) is True


@pytest.mark.parametrize("broken", ["labels", "paths", "predictions", "list"])
def test_predictions_that_do_not_fit_are_named(tmp_path, broken):
    root = outputs(tmp_path, seeds=1, rounds=1)
    predicted(root)
    [path] = (root / "tests").iterdir()
    if broken == "list":
        path.write_text("{")
    elif broken == "predictions":
        for file in root.glob("rounds/*/predictions.npy"):
            np.save(file, [0, 1])
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | {broken: [0]}))
    found = read.read(root)
    assert images.changes(*choose.chains(found.records)[0].ends, found) is None
    assert "predictions" in found.skipped[0][1]


def test_no_image_is_read_from_outside_the_data(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    predicted(root)
    Image.new("RGB", (8, 8)).save(root / "secret.png")
    test = json.loads(next((root / "tests").iterdir()).read_text())
    name = listed(root, test | {"paths": ["../secret.png"] * 6})
    for path in (root / "rounds").glob("*/round.json"):
        rewrite(path, json.loads(path.read_text()) | {"test": name})
    found = read.read(root)
    assert images.changes(*choose.chains(found.records)[0].ends, found).lost[0].picture == ""
