"""The command ``experiment=study``: rows, what is left out, a repeated command, its mistakes."""

import csv
import json
import shutil
from functools import partial
from pathlib import Path

import pytest

import lth.run
from lth.export import programs
from lth.launch.graph import Cost
from lth.report import __main__ as page
from lth.report import study
from lth.study import estimate, measure
from lth.tree.record import read

SMALL = "experiment=study data=folder data.image_size=20 data.batch_size=16 epochs=1 trainer=cpu logger=none"
SMALL += " prune.rate=0.7 study.density=0.3"  # one round
MODELS = "study.models=[lenet_300_100,resnet18:layer3]"


@pytest.fixture
def command(typed, monkeypatch, images, tmp_path):
    """A function that runs the command on small images without weights to download: exit code, stdout, stderr."""
    monkeypatch.setattr("lth.models.weights.reachable", lambda host: False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return partial(typed, lth.run.main, *SMALL.split(), f"data.root={images}", f"outputs={tmp_path / 'o'}")


@pytest.fixture
def unmeasured(monkeypatch):
    monkeypatch.setattr(measure, "export", lambda records, folder, say: None)


def trained(outputs: Path) -> set[str]:
    return {path.parent.name for path in outputs.glob("rounds/*/round.json")}


def test_a_study_ends_in_a_table_a_figure_and_a_section_of_the_report(command, unmeasured, tmp_path):
    outputs = tmp_path / "o"
    code, out, err = command(MODELS, "study.seeds=2")
    assert code == 0, err
    assert err.count("resnet18:layer3: left out, since the weights of resnet18 could not be downloaded") == 1
    names = trained(outputs)
    assert len(names) == 2 * (1 + (1 + 1) + (1 + 1)), "dense; tickets of weights and a control; of channels and a control"
    text = (outputs / "study.md").read_text()
    assert "Left out: resnet18:layer3" in text
    assert "| implementation |" in out
    rows = list(csv.DictReader((outputs / "study.csv").read_text().splitlines()))
    assert [row["pruned"].partition(",")[0] for row in rows] == ["dense", "weights", "channels"]
    assert {row["n"] for row in rows} == {"2"}
    assert (outputs / "study.png").read_bytes().startswith(b"\x89PNG")
    assert page.report([str(outputs)]) == 0
    html = (outputs / "report/report.html").read_text()
    assert html.index(">Study</h2>") < html.index(">folder</h2>")
    before = {path: path.stat().st_mtime_ns for path in outputs.glob("rounds/*/round.json")}
    assert command(MODELS, "study.seeds=2")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in outputs.glob("rounds/*/round.json")} == before


def test_the_chosen_tickets_are_exported_once_and_measured_beside_their_dense_networks(command, tmp_path, monkeypatch):
    pytest.importorskip("torch_pruning", reason="the export needs it")
    monkeypatch.setattr(measure, "SECONDS", 0.1)
    monkeypatch.setattr(programs, "ONNX", ("no_such_package",))
    few = ("study.models=[lenet_300_100]", "study.seeds=1", "study.structures=[weights]", "study.controls=none")
    code, out, err = command(*few)
    assert code == 0, err
    assert out.count("exporting    ") == 1
    dense, ticket = csv.DictReader((tmp_path / "o/study.csv").read_text().splitlines())
    assert float(ticket["file, MB"]) < float(dense["file, MB"])
    assert float(ticket["ms, batch 1"]) > 0 < float(dense["ms, batch 1"])
    assert "exporting" not in command(*few)[1]


def test_a_launcher_trains_the_same_rounds(command, unmeasured, tmp_path):
    few = ("study.models=[lenet_300_100]", "study.seeds=1", "study.structures=[weights]", "study.controls=none")
    assert command(*few)[0] == 0
    alone = trained(tmp_path / "o")
    shutil.rmtree(tmp_path / "o")
    code, _, err = command("-m", "hydra/launcher=local", "hydra.launcher.workers=1", *few)
    assert code == 0, err
    assert trained(tmp_path / "o") == alone
    assert (tmp_path / "o/study.md").exists()


def test_the_choice_of_a_budget_is_kept_when_the_command_is_repeated(command, unmeasured, monkeypatch, tmp_path):
    monkeypatch.setattr(estimate, "timed", lambda experiment: Cost(0.0, 60.0))
    fewer = ("study.structures=[weights]", "study.controls=none")
    asked = ("study.models=[lenet_300_100]", "epochs=4", "study.budget=60min", *fewer)
    code, out, err = command(*asked)
    assert code == 0, err
    assert "budget       60min: all that is asked for; about 24 min 0 s" in out
    (tmp_path / "o/study.json").unlink()
    shutil.rmtree(tmp_path / "o/rounds")
    less = [*asked[:2], "study.budget=15min", *fewer]
    assert "15min: 2 seeds instead of 3, 3 epochs instead of 4; about 12 min 0 s" in command(*less)[1]
    monkeypatch.setattr(estimate, "timed", lambda experiment: Cost(0.0, 1.0))
    assert "15min: 2 seeds instead of 3, 3 epochs instead of 4, as chosen before" in command(*less)[1]
    assert {r.epochs for r in read(tmp_path / "o").records} == {3}


def test_a_dry_run_prints_the_outline_and_trains_nothing(command, tmp_path):
    code, out, _ = command(MODELS, "--dry-run", "study.seeds=1")
    assert code == 0
    assert "lenet_300_100, weights, seed 2018: 3 rounds of 1 epochs" in out
    assert "0 finished, 5 to train" in out
    assert not trained(tmp_path / "o")


def test_steps_of_a_network_are_timed_in_a_folder_of_their_own(command, unmeasured, tmp_path):
    code, out, err = command("study.models=[lenet_300_100]", "study.budget=1h", "--dry-run")
    assert code == 0, err
    assert "lenet_300_100: " in out
    assert "(from 6 steps)" in out
    assert not (tmp_path / "o/rounds").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("study.models=[resnet19]", "study.models=resnet19: model.name=resnet19 is not accepted: it takes one of alexnet, "),
        ("study.models=[resnet18:layer9]", "study.models=resnet18:layer9: finetune=layer9 is not accepted: layer9 is no block"),
        ("study.models=[resnet18]", "no network of the study can be trained."),
        ("study.structures=[columns]", "study.structures=columns is not accepted: it takes a list of weights and channels"),
        ("study.budget=abc", "study.budget=abc is not accepted: it takes none, or a time such as 30min or 2h."),
        (
            "study.models=[lenet_300_100] study.budget=1s",
            "study.budget=1s is not accepted: it takes 1min or more here, for 2 seeds",
        ),
        ("study.models=[lenet_300_100] study.budget=1s --dry-run", "study.budget=1s is not accepted: it takes 1min or more here"),
        ("trainer.devices=2", "trainer.devices=2 is not accepted: it takes 1 in a study, or -m hydra/launcher=local."),
        ("-m seed=0,1", "seed=0,1 is not accepted: a study is one job; study.seeds=N has more seeds"),
        ("-m hydra/launcher=local seed=0,1", "seed=0,1 is not accepted: a study is one job; study.seeds=N has more seeds"),
    ],
)
def test_a_mistake_is_one_sentence(command, tmp_path, arguments, sentence):
    code, _, err = command(*arguments.split())
    assert code
    assert sentence in err.splitlines()[-1]
    assert err.count(sentence[:30]) == (2 if arguments == "-m seed=0,1" else 1), "of each job"
    assert not trained(tmp_path / "o")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": "x"}', '{"format": "lth-study-1", "rounds": [1]}', '{"format": 1, "y": 2}']
)
def test_a_damaged_study_is_left_out_by_name(tmp_path, content):
    (tmp_path / study.FILE).write_text(content)
    found = read(tmp_path)
    assert study.read(tmp_path, found) is None
    assert [name for name, _ in found.skipped] == [study.FILE]
    (tmp_path / study.FILE).write_text(json.dumps({"format": study.FORMAT, "rounds": ["a"]}))
    assert study.read(tmp_path).rounds == ["a"]
