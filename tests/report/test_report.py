"""The command, its files and its page."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

import lth.report.__main__ as report
from lth.errors import UsageError
from lth.hashes import of_file
from lth.report import build
from lth.tree.record import read
from tests.conftest import decay
from tests.report.invent_rounds import outputs, predictions, rewrite

FIGURES = {
    "accuracy", "early_stop", "differences", "flops", "size", "curves_train_loss", "curves_val_loss", "curves_val_acc", "density",
    "overlap", "weights", "confusion_dense", "confusion_ticket", "classes",
}  # fmt: skip
EVIL = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", "%{x}$&\"'"]


@pytest.fixture
def quick(monkeypatch):
    """Without pictures, which take most of the time."""
    monkeypatch.setattr(build, "saved", lambda figure, form: b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A report of invented rounds, beside which one is unfinished and one damaged."""
    root = outputs(tmp_path_factory.mktemp("outputs"))
    (root / "rounds" / "unfinished").mkdir()
    (root / "rounds" / "torn").mkdir()
    (root / "rounds" / "torn" / "round.json").write_text('{"key": "torn", "round": ')
    report.report([str(root)])
    return root / "report"


def page_of(root: Path) -> str:
    """The page without plotly's code."""
    page = dict(build.files("title", read(root)))["report.html"].decode()
    assert get_plotlyjs() in page
    return page.replace(get_plotlyjs(), "")


def plot_of(page: str, name: str) -> dict:
    """What plotly draws."""
    return json.loads(re.search(rf'id="{name}"[^>]*></div><script type="application/json">(.*?)</script>', page)[1])


def test_a_report_has_tables_figures_and_a_page(folder):
    assert len(list(csv.DictReader((folder / "results.csv").read_text().splitlines()))) == 2 * 6
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in (folder / "results.md").read_text().splitlines()]
    assert lines[0] == ["stripes: Test accuracy at early stop, mean over 2 seeds."]
    titles = ["implementation", "weights remaining", "test accuracy at early stop", "n", "valid accuracy at early stop"]
    titles += ["test accuracy at the last epoch", "test accuracy at best validation accuracy", "train accuracy (running)"]
    assert lines[2] == [*titles, "early stops not seen", "learning rate"]
    cells = ["lenet all, dense", "100.00%", "0.685 ± 0.007", "2", "0.695 ± 0.007", "0.705 ± 0.007", "0.715 ± 0.007"]
    assert lines[4] == [*cells, "0.900 ± 0.000", "0 of 2", "0.002"]
    assert len(lines) == 4 + 6 + 2, "a row a round and control, and what the running accuracy is"
    for form in ("png", "svg"):
        assert {p.stem for p in folder.glob(f"figures/*.{form}")} == {f"{name}-stripes" for name in FIGURES}
    page = (folder / "report.html").read_text().replace(get_plotlyjs(), "")
    assert all(f'id="{name}-stripes"' in page for name in FIGURES)
    assert page.count("python -m lth.run model=lenet seed=") == 2
    assert page.count('class="plot') == page.count('role="img" aria-label="') == len(FIGURES)
    assert page.count('<div class="scroll"') == page.count('<div class="scroll" tabindex="0"') > 0
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)|url\(|@import|https?:", page), "nothing comes from elsewhere"
    assert "default-src 'none'" in page


def test_the_page_opens_with_the_verdict_and_one_figure(quick, tmp_path):
    page = page_of(outputs(tmp_path, seeds=3, rounds=2, command="-m model=lenet seed=0,1,2"))
    parts = ["<h1>", "<h2 ", "winning ticket at 64.00%", "Shown: ", "Missed: ", "To settle it: ", 'id="accuracy-stripes"']
    parts += ['id="early_stop-stripes"', 'id="differences-stripes"', "<table"]
    assert [page.index(text) for text in parts] == sorted(page.index(text) for text in parts)
    assert "<code>python -m lth.run -m model=lenet seed=0,1,2 prune.controls=reinit+dense prune.control_rounds=2</code>" in page


@pytest.mark.parametrize(
    ("word", "end", "value"),
    [("early_stop", "at early stop", 0.68), ("last", "at the last epoch", 0.7), ("best", "at best validation accuracy", 0.71)],
)
def test_a_word_chooses_the_end_point_of_tables_figures_and_verdicts(quick, tmp_path, word, end, value):
    root = outputs(tmp_path, seeds=2, rounds=1)
    report.report([str(root), f"accuracy={word}"])
    page = (root / "report" / "report.html").read_text()
    for name in ("accuracy", "flops"):
        assert plot_of(page, f"{name}-stripes")["layout"]["yaxis"]["title"]["text"] == f"test accuracy {end}"
    assert f"Differences are of test accuracy {end}" in page
    row = (root / "report" / "results.md").read_text().splitlines()[4]
    assert [cell.strip() for cell in row.split("|")][3].startswith(f"{value + 0.005:.3f}")


def test_what_is_unfinished_or_damaged_is_named(folder, quick, capsys):
    page = (folder / "report.html").read_text()
    assert "<li>unfinished: unfinished: it has no round.json yet</li>" in page
    assert "<li>torn: " in page
    assert str(folder.parent) not in page
    report.report([str(folder.parent), "--to", str(folder.parent / "again")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines if line.startswith("left out")] == ["torn:", "unfinished:"]


@pytest.mark.parametrize("name", ["ticket.safetensors", "start.safetensors", "metrics.csv", "predictions.npy"])
def test_a_damaged_file_of_a_round_is_named_and_the_rest_is_shown(quick, tmp_path, name):
    root = predictions(outputs(tmp_path, seeds=2, rounds=1))
    for path in root.glob(f"rounds/*/{name}"):
        decay(path, 3)
    found = read(root)
    pages = dict(build.files("title", found))
    assert "figures/accuracy-stripes.png" in pages
    assert {why for _, why in found.skipped} == {f"its {name} cannot be read (ValueError: {name} does not match its hash)"}
    assert str(tmp_path) not in pages["report.html"].decode()


def test_names_from_files_cannot_become_html(quick, tmp_path):
    evil = {"command": "<script>alert(3)</script>", "finetune": "<b>all", "data": "</script><script>alert(4)"}
    root = outputs(tmp_path, classes=EVIL, **evil)
    (root / "rounds" / "<img src=x onerror=alert(5)>").mkdir()
    page = page_of(root)
    for text in ("<script>alert", "<img src=x", "<b>all", "</script><"):
        assert text not in page.replace("</script><noscript>", "")
    names = plot_of(page, "confusion_dense-_script_script_alert_4_")["layout"]["xaxis"]["ticktext"]
    assert names[0] == "&lt;script&gt;ale…(1)&lt;/script&gt;"


def test_a_report_of_the_same_rounds_is_the_same_bytes(tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1, files=False)
    one, other = (dict(build.files("title", read(root))) for _ in range(2))
    assert one == other


NO_CLASSES = dict.fromkeys(("test_confusion", "flops", "flops_remaining", "parameters", "model_density"))
NO_CLASSES |= {"score": "r2", "layers": {}, "layer_weights": {}}


@pytest.mark.parametrize(
    ("left", "facts", "first", "gone"),
    [
        ("round00-\\w+(?<!c)$", {}, "lenet all, dense, 68.5%", ["Paired", "Mask overlap", "Density by layer"]),
        ("c$", {}, "lenet all, 20% a round, re-initialised (n = 2)", ["Paired", "Learning curves"]),
        ("round0[12]", {}, "lenet all, 20% a round (n = 2)", ["Learning curves"]),
        ("", NO_CLASSES, "lenet all, 20% a round (n = 2)", ["Classes", "Accuracy against", "Density by layer"]),
    ],
    ids=["a dense network alone", "controls alone", "no dense network", "a task without classes"],
)
def test_sections_without_anything_to_show_are_left_out(quick, tmp_path, left, facts, first, gone):
    root = outputs(tmp_path, seeds=2, rounds=2, **facts)
    for path in (root / "rounds").iterdir():
        if not re.search(left, path.name):
            shutil.rmtree(path)
    page = page_of(root)
    assert plot_of(page, "accuracy-stripes")["data"][0]["name"] == first
    assert ("tickformat" in plot_of(page, "accuracy-stripes")["layout"]["yaxis"]) == (not facts), "a score is no share"
    assert "<h3>Early stop" in page
    assert not [title for title in (*gone, "Images that the ticket loses") if f"<h3>{title}" in page]


def test_rounds_stopped_at_their_last_iteration_are_counted(quick, tmp_path):
    outputs(tmp_path / "one", seeds=1, rounds=2, files=False, censored=True)
    outputs(tmp_path / "two", seeds=1, rounds=2, files=False)
    assert "4 of 4 rounds stopped at the last iteration" in page_of(tmp_path / "one")
    assert "stopped at the last iteration" not in page_of(tmp_path / "two")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["{0}/nowhere"], 2, "{0}/nowhere holds no finished round (0 unfinished or damaged)."),
        (["{0}", "model=other"], 2, "no finished round that passes model=other"),
        (["{0}", "--to", "{0}/file"], 1, "the report cannot be written to {0}/file: Not a directory."),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(typed, tmp_path, arguments, code, sentence):
    outputs(tmp_path, seeds=1, rounds=1, files=False)
    (tmp_path / "file").touch()
    ended, _, error = typed(report.main, *(a.format(tmp_path) for a in arguments))
    assert (ended, len(error.splitlines())) == (code, 1)
    assert sentence.format(tmp_path) in error


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("accuracy=mean", "accuracy=mean is not accepted: accuracy takes one of early_stop, last, best"),
        ("model=", "a filter is model="),
        ("modle=lenet", "a filter is model="),
        ("other", "one outputs folder"),
    ],
)
def test_a_word_that_is_not_accepted_is_one_sentence(tmp_path, word, sentence):
    with pytest.raises(UsageError, match=sentence):
        report.parse([str(tmp_path), word])


def test_a_loss_that_overflowed_is_a_gap(quick, tmp_path):
    root = outputs(tmp_path, seeds=1, rounds=1)
    path = next(root.glob("rounds/*-round00-*")) / "metrics.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    lines[2][4] = "inf"
    path.write_text("\n".join(map(",".join, lines)) + "\n")
    facts = json.loads(path.with_name("round.json").read_text())
    rewrite(path.with_name("round.json"), facts | {"files": facts["files"] | {path.name: of_file(path)}})
    assert plot_of(page_of(root), "curves_val_loss-stripes")["data"][0]["y"][1] is None
