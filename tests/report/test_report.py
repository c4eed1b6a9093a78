import csv
import hashlib
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import lth.report.__main__ as report
from lth.analysis import verdict
from lth.errors import UsageError
from lth.hashes import of_file
from lth.report import build, choose, costs, draw, html, images, interactive, plot, plots, read, rows, tree, weights
from lth.report import masks as overlaps
from tests.report.invent_rounds import outputs, rewrite

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
    assert lines[0] == ["stripes: Test accuracy at early stop, mean over 2 seeds."]
    titles = ["implementation", "learning rate", "valid accuracy at early stop", "test accuracy at early stop"]
    titles += ["weights remaining", "n", "test accuracy at the last epoch", "test accuracy at best validation accuracy"]
    assert lines[2] == [*titles, "train accuracy (running)", "early stops not seen"]
    own = ["lenet all, dense", "0.002", "0.695 ± 0.007", "0.685 ± 0.007", "100.00%", "2"]
    assert lines[4] == [*own, "0.705 ± 0.007", "0.715 ± 0.007", "0.900 ± 0.000", "0 of 2"]
    assert len(lines) == 4 + 6 + 2, "a row a round and control, and what the running accuracy is"
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
    assert str(tmp_path) not in pages["report.html"].decode()
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
        path = folder / (name if name != "start" else "start.safetensors")
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


@pytest.mark.parametrize("field", [*read.OPTIONAL, "layers"])
def test_an_optional_field_of_another_kind_is_damage(tmp_path, field):
    path = next(outputs(tmp_path, seeds=1, rounds=1, files=False).glob("rounds/*-round01-*1/round.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: [1]}))
    found = read.read(tmp_path)
    assert len(found.records) == 2
    assert [name for name, _ in found.skipped] == [path.parent.name]


@pytest.mark.parametrize("line", [{}, {"alphas": [0, 1], "errors": [0.1]}, {"alphas": ["a"], "errors": ["b"]}])
def test_a_line_between_copies_that_is_none_is_damage(tmp_path, line):
    assert read.read(outputs(tmp_path, seeds=1, rounds=0, files=False, line=line)).records == []


def test_a_pruned_round_without_a_rate_is_damage(tmp_path):
    assert {r["round"] for r in read.read(outputs(tmp_path, seeds=1, rounds=2, files=False, rate=None)).records} == {0}


def test_a_copied_folder_counts_once(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1, files=False)
    folder = next(root.glob("rounds/*-round00-*"))
    shutil.copytree(folder, folder.with_name(f"{folder.name} copy"))
    found = read.read(root)
    assert len(found.records) == 3
    assert found.skipped == [(f"{folder.name} copy", f"a copy: another folder holds round {folder.name[-12:]}, too")]


@pytest.mark.parametrize("seeds", [1, 2])
def test_tickets_whose_dense_network_is_gone_are_reported(quick, tmp_path, seeds):
    root = outputs(tmp_path, seeds=seeds, rounds=2)
    shutil.rmtree(next(root.glob("rounds/*-seed0-round00-*")))
    found = read.read(root)
    assert len(found.records) == 4 * seeds - 1
    assert "report.html" in dict(build.files("title", found))
    chain = choose.chains(found.records)[0]
    assert [record["round"] for record in chain.by_seed[0]] == [1, 2]


def mixed(root: Path) -> Path:
    """Two recipes of one model and data set, that differ in their epochs, and another way of pruning."""
    outputs(root, seeds=1, rounds=1, files=False)
    outputs(root, seeds=1, rounds=1, files=False, recipe="123456abcdef", epochs=40, settings={"optim.lr": 0.002, "epochs": 40})
    return outputs(root, seeds=1, rounds=1, files=False, recipe="777777abcdef", model="conv2", criterion="snip")


def test_rounds_of_different_recipes_have_different_names(quick, tmp_path):
    found = read.read(mixed(tmp_path))
    names = [row[0] for row in rows.rows(found.records)]
    assert len(set(names)) == len(names) == 9
    assert "lenet all, epochs 4, dense" in names
    assert "lenet all, epochs 40, 20% a round, re-initialised" in names
    assert "conv2 all, 20% a round, snip" in names, "the only recipe of its model"
    labels = [chain.label for chain in choose.chains(found.records)]
    assert len(set(labels)) == 3
    page = dict(build.files("title", found))["report.html"].decode()
    assert "dense network, lenet all on stripes, seed 0, epochs 40 (" in page
    assert "└ round 1, 80%, 20% a round, snip (" in page
    assert "└ round 1, 80%, re-initialised (" in page, "how it is pruned is said once a chain"


def test_the_curves_shown_at_first_differ_in_colour(tmp_path):
    found = read.read(outputs(tmp_path, seeds=1, rounds=11))
    for figure in plots.curves(choose.chains(found.records)[0], found):
        shown = [line for line in figure.lines if line.shown]
        assert [line.label for line in shown] == ["dense network", "round 4, 41%", "round 7, 21%", "round 11, 8.6%"]
        assert len({line.colour for line in shown}) == 4
        assert len({(line.colour, line.dash) for line in figure.lines}) == 12


def test_a_loss_that_overflowed_is_a_gap(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    path = next(root.glob("rounds/*-round00-*")) / "metrics.csv"
    head, *epochs = path.read_text().splitlines()
    cells = epochs[1].split(",")
    cells[4] = "inf"
    path.write_text("\n".join([head, epochs[0], ",".join(cells), *epochs[2:]]) + "\n")
    told = json.loads(path.with_name("round.json").read_text())
    rewrite(path.with_name("round.json"), told | {"files": told["files"] | {path.name: of_file(path)}})
    found = read.read(root)
    loss, _ = plots.curves(choose.chains(found.records)[0], found)
    assert build.saved(draw.draw(loss), "png")
    assert json.loads(interactive.dumps(interactive.spec(loss)))["data"][0]["y"][1] is None


def test_the_page_says_how_many_rounds_had_not_come_to_an_end(quick, tmp_path):
    outputs(tmp_path / "one", seeds=1, rounds=2, files=False, censored=True)
    outputs(tmp_path / "two", seeds=1, rounds=2, files=False)
    one, two = (dict(build.files("title", read.read(tmp_path / n)))["report.html"].decode() for n in ("one", "two"))
    assert "4 of 4 rounds stopped at the last iteration" in one
    assert "stopped at the last iteration" not in two


def test_where_not_all_chains_are_shown_every_part_says_so(quick, tmp_path):
    for i in range(8):
        outputs(tmp_path, seeds=1, rounds=1, files=False, recipe=f"recipe{i}", family=f"family{i}", model=f"model{i}")
    page = dict(build.files("title", read.read(tmp_path)))["report.html"].decode()
    assert page.count("Of 8 chains the 7 with most seeds and rounds") == 5


def test_of_many_classes_those_that_differ_most_are_shown(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1, classes=[f"class {i}" for i in range(90)])
    path = next(root.glob("rounds/*-round01-*1/round.json"))
    told = json.loads(path.read_text())
    told["test_confusion"][77] = [1] * 77 + [0] + [1] * 12
    rewrite(path, told)
    found = read.read(root)
    heats, lines, note = plots.classes(choose.chains(found.records)[0], found)
    assert note == " Of 90 classes the 40 whose accuracies differ most."
    assert [len(heat.rows) for heat in heats] == [40] * 3
    assert "class 77" in heats[0].rows
    assert lines.lines[1].y[lines.lines[1].x.index("class 77")] == 0
    row = heats[0].rows.index("class 77")
    assert heats[0].z[row][row] == pytest.approx(100 * (20 + 77 + 1) / (20 + 77 + 90)), "a share of all images of the class"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["a" * 150, "two\nlines", "数据", "$x_1$", "_below", "%{x}", "<b>"])
def test_no_name_of_a_class_upsets_a_figure(tmp_path, name):
    found = read.read(outputs(tmp_path, seeds=1, rounds=1, classes=["plain", name]))
    heats, lines, _ = plots.classes(choose.chains(found.records)[0], found)
    for figure in (heats[2], lines):
        assert build.saved(draw.draw(figure), "png")
    assert all(len(tick) <= 40 and "\n" not in tick for tick in interactive.spec(lines)["layout"]["xaxis"]["ticktext"])


def test_a_folder_that_cannot_be_written_to_is_one_sentence_and_exit_code_1(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=0, files=False)
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "lth.report", str(root), "--to", str(tmp_path / "file")]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 1
    assert told.stderr == f"lth: the report cannot be written to {tmp_path / 'file'}: Not a directory.\n"


def test_figures_have_words_and_tables_can_be_scrolled_by_keys(made):
    page = (made / "report.html").read_text()
    assert page.count('class="plot') == page.count('role="img" aria-label="') == len(FIGURES)
    said = "test accuracy at early stop"
    assert f'aria-label="stripes: {said}, mean over 2 seeds: {said} by weights remaining, % of the prunable"' in page
    assert page.count('<div class="scroll"') == page.count('<div class="scroll" tabindex="0"')


def test_figures_of_an_earlier_report_stay_and_are_named(tmp_path, quick, capsys):
    root = outputs(tmp_path, seeds=1, rounds=1)
    outputs(tmp_path, seeds=1, rounds=1, first=1, data="dots")
    report.report([str(root)])
    assert "older" not in capsys.readouterr().out
    report.report([str(root), "data=dots"])
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("older")]
    assert "accuracy-stripes.png" in told
    assert "dots" not in told
    assert (root / "report" / "figures" / "accuracy-stripes.png").exists()


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
    root = outputs(tmp_path, seeds=1, rounds=0)
    for path in root.glob("rounds/*/round.json"):
        if json.loads(path.read_text())["control"]:
            shutil.rmtree(path.parent)
    pages = dict(build.files("title", read.read(root)))
    page = pages["report.html"].decode()
    for said in ("no two tickets", "no ticket to judge", "no ticket together with its dense network", "Test images, last epoch."):
        assert said in page
    [line] = told_of(page, "accuracy-stripes")["data"]
    assert (line["x"], line["name"]) == ([2, 0.5], "dense network, 68%"), "across the whole figure"
    assert told_of(page, "accuracy-stripes")["layout"]["yaxis"]["range"] == pytest.approx([0.63, 0.73])


def told_of(page: str, name: str) -> dict:
    """What plotly is to draw."""
    return json.loads(re.search(rf'id="{name}"[^>]*></div><script type="application/json">(.*?)</script>', page)[1])


def test_the_ticket_that_is_shown_is_the_winner_or_not_called_so(quick, tmp_path):
    found = read.read(outputs(tmp_path, seeds=3, rounds=3))
    judged = verdict.verdicts(found.records)
    chain = choose.with_winner(choose.chains(found.records)[0], judged, found.records)
    assert (chain.ticket["round"], chain.wins(chain.ticket)) == (3, True)
    assert "the sparsest winning ticket, and" in dict(build.files("title", found))["report.html"].decode()
    for record in [r for r in found.records if (r["seed"], r["round"]) == (0, 3)]:
        found.records.remove(record)
    extra = [
        r | {"round": k, "density": 0.9, "test_acc": 0.1}
        for k in (8, 9)
        for r in found.records
        if (r["seed"], r["round"]) == (0, 1)
    ]
    chain = choose.with_winner(choose.chains(found.records + extra)[0], judged, found.records + extra)
    assert (chain.seed, chain.wins(chain.ticket)) == (0, False), "the seed with most rounds lacks the winner"


def test_controls_alone_are_reported(quick, tmp_path):
    root = outputs(tmp_path, seeds=2, rounds=2)
    for path in root.glob("rounds/*/round.json"):
        if not json.loads(path.read_text())["control"]:
            shutil.rmtree(path.parent)
    page = dict(build.files("title", read.read(root)))["report.html"].decode()
    assert "There is no ticket to judge." in page
    assert told_of(page, "accuracy-stripes")["series"][0]["label"] == "re-initialised (n = 2 seeds)"


def test_no_control_is_dashed_as_the_dense_network(quick, tmp_path):
    told = told_of(dict(build.files("title", read.read(mixed(tmp_path))))["report.html"].decode(), "accuracy-stripes")
    form = {(s["colour"], s["dash"]) for s in told["series"]}
    assert len(form) == len(told["series"]) == 9


def test_many_rounds_are_read_in_a_stream(tmp_path):
    for i in range(10):
        outputs(tmp_path, seeds=5, rounds=5, files=False, recipe=f"recipe{i}", family=f"family{i}", model=f"model{i}")
    found = read.read(tmp_path)
    assert len(found.records) == 10 * 5 * 7
    assert all("test_confusion" not in r and "checks" not in r for r in found.records)
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


@pytest.mark.parametrize("masks", [{"w": np.zeros(3, np.uint8)}, {"fc1.weight": np.zeros(40, np.float32)}])
def test_masks_that_do_not_fit_are_left_out_of_overlaps(quick, tmp_path, masks):
    root = outputs(tmp_path, seeds=3, rounds=1)
    save_file(masks, next(root.glob("rounds/*-seed2-round01-*1")) / "ticket.safetensors")
    found = read.read(root)
    lines = overlaps.between_seeds(choose.chains(found.records)[0], found).lines
    assert [line.notes for line in lines] == [["1 pair"], None]
    assert "report.html" in dict(build.files("title", found))


def test_the_histogram_is_of_kept_weights_before_and_after(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    record = next(r for r in read.read(root).records if r["round"] == 1 and not r["control"])
    before, after = weights.before_and_after(record)
    assert len(before) == sum(int(np.bitwise_count(b).sum()) for b in weights.bits(record).values()) < 368
    assert np.allclose(after, 2 * before)


def test_a_band_is_open_where_a_point_has_none():
    line = plot.Line("a", [1, 0.8, 0.5, 0.4, 0.3], [1.0, 2, 3, 4, 5], band=[0.5, 0.25, None, 1, 2])
    band = interactive.spec(plot.Lines("t", "x", "y", [line]))["data"][0]
    assert band["x"] == [1, 0.8, 0.8, 1, None, 0.4, 0.3, 0.3, 0.4]
    assert band["y"] == [1.5, 2.25, 1.75, 0.5, None, 5, 7, 3, 3]


def node(key: str, parent: str | None, seconds: float = 1.0, control: str | None = None) -> dict:
    return {"key": key, "parent": parent, "seconds": seconds, "control": control, "round": 0, "name": key}


def test_the_tree_shows_a_shared_round_once():
    found = tree.nodes([node("a", None, 10), node("b", "a"), node("c", "a"), node("d", "b"), node("x", "gone")])
    assert [(n.record["key"], n.depth, n.chains) for n in found] == [
        ("a", 0, 2), ("b", 1, 1), ("d", 2, 1), ("c", 1, 1), ("x", 0, 1),
    ]  # fmt: skip
    assert tree.seconds(found) == (14, 24)
    deep = [node("0", None), *(node(str(i), str(i - 1)) for i in range(1, 3000))]
    assert tree.nodes(deep)[-1].depth == 2999


def test_a_control_needs_the_rounds_before_its_ticket_not_the_ticket():
    chain = [node("a", None, 100), node("b", "a", 10), node("c", "b", 1)]
    controls = [node("order", "a", control="order"), node("b1", "b", control="reinit"), node("b2", "b", control="shuffle")]
    found = tree.nodes([*chain, *controls, node("c1", "c", control="reinit")])
    assert {n.record["key"]: n.chains for n in found} == {"a": 4, "b": 2, "c": 1, "order": 1, "b1": 1, "b2": 1, "c1": 1}
    assert tree.seconds(found) == (115, 4 * 100 + 2 * 10 + 5)


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
    assert plot.log_ticks([0, None, math.inf, math.nan]) == []


def test_json_in_a_page_is_inert_and_strict():
    text = interactive.dumps({"a": ["</script>", float("nan"), np.float64(1.23456789), np.int64(3)]})
    assert text == '{"a":["\\u003c/script>",null,1.23457,3]}'


def test_markdown_of_ours_becomes_html():
    text = "**a <b>**\n\n| x | y |\n|---|---|\n| 1 | <i> |\n\n- one\n- two\n\nend"
    assert html.markdown(text).split("\n") == [
        "<p><strong>a &lt;b&gt;</strong></p>",
        '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead><tbody>',
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
        told["files"]["predictions.npy"] = of_file(path.with_name("predictions.npy"))
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


@pytest.mark.parametrize(
    ("word", "said", "value"),
    [("early_stop", "at early stop", 0.68), ("last", "at the last epoch", 0.7), ("best", "at best validation accuracy", 0.71)],
)
def test_a_word_chooses_the_end_point_of_tables_figures_and_verdicts(quick, tmp_path, word, said, value):
    root = outputs(tmp_path, seeds=2, rounds=1)
    report.report([str(root), f"accuracy={word}"])
    page = (root / "report" / "report.html").read_text()
    assert told_of(page, "accuracy-stripes")["layout"]["yaxis"]["title"]["text"] == f"test accuracy {said}"
    assert told_of(page, "flops-stripes")["layout"]["yaxis"]["title"]["text"] == f"test accuracy {said}"
    assert f"stripes: test accuracy {said}, mean over 2 seeds" in page
    assert f"Differences are of test accuracy {said}" in page
    row = (root / "report" / "results.md").read_text().splitlines()[4]
    assert [cell.strip() for cell in row.split("|")][4].startswith(f"{value + 0.005:.3f}")


def test_the_report_opens_with_the_three_sentences(quick, tmp_path):
    root = outputs(tmp_path, seeds=3, rounds=2, command="-m model=lenet seed=0,1,2")
    page = dict(build.files("title", read.read(root)))["report.html"].decode()
    places = [
        page.index(said) for said in ("<h2 ", "winning ticket at 64.00%", "Shown: ", "Missed: ", "To settle it: ", "<table>")
    ]
    assert places == sorted(places)
    assert "<code>python -m lth.run -m model=lenet seed=0,1,2 prune.controls=reinit+dense prune.control_rounds=2</code>" in page


def test_another_end_point_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match="accuracy=mean is not accepted: accuracy takes one of early_stop, last, best"):
        report.parse([str(tmp_path), "accuracy=mean"])
