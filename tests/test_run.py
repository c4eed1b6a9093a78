"""The command line, as a user types it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import lth
import lth.run as door
from lth.cli import signals
from lth.errors import LthError
from lth.run import CONF
from lth.training.search import search


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-m", "lth.run", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd, env=env)


def small(images: Path, outputs: Path) -> list[str]:
    options = "data=folder data.image_size=20 data.batch_size=16 epochs=1 model=lenet_300_100 trainer=cpu"
    return [*options.split(), f"data.root={images}", f"outputs={outputs}"]


def test_help_has_three_examples_and_every_group():
    told = run("--help").stdout
    assert told.count("python -m lth.run") == 3
    for group in ("data", "model", "prune", "optim", "trainer", "logger", "experiment"):
        assert f"{group}: " in told


def test_the_version_is_that_of_lth():
    for module in ("lth.run", "lth"):
        told = subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True, text=True)
        assert told.stdout == f"lth {lth.__version__}\n"


def test_the_package_says_which_commands_there_are():
    told = subprocess.run([sys.executable, "-m", "lth"], check=True, capture_output=True, text=True)
    first, *lines = told.stdout.splitlines()
    assert first.startswith("lth 0.")
    assert [line.split()[2] for line in lines] == ["lth.run", "lth.report", "lth.verify", "lth.board"]


def test_help_and_a_typo_do_not_import_torch():
    for arguments in (["--help"], ["--version"], ["--cfg", "job"], ["lr=0.2"], ["seed=0,1"], ["prune.rate=2"]):
        code = f"import sys; sys.argv[1:] = {arguments}; from lth.run import main\ntry: main()\nexcept SystemExit: pass\n"
        code += "assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("override", "code", "sentence"),
    [
        (
            "prune.rat=0.2",
            2,
            "lth: prune.rat is no key; did you mean prune.rate=? prune takes schedule, rounds, rate, head, "
            "head_rate, scope, criterion, allocation, score_images, rewind, retrain, controls, control_rounds.",
        ),
        ("prune.rate=1.5", 2, "lth: prune.rate=1.5 is not accepted: it takes a fraction above 0 and below 1."),
        ("data.root=/nowhere", 1, "lth: data.root=/nowhere is no folder."),
        (
            "finetune=layer3",
            2,
            "lth: finetune=layer3 is not accepted: layer3 is no block; it takes all, head, fc1, fc2, joined by '+'.",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(images, tmp_path, override, code, sentence):
    told = run(*small(images, tmp_path), override)
    assert (told.returncode, told.stderr.strip().splitlines()) == (code, [sentence])
    full = run(*small(images, tmp_path), override, HYDRA_FULL_ERROR="1")
    assert full.returncode != 0
    assert "Traceback" in full.stderr


@pytest.mark.parametrize("rendered", [False, True])
@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("model.weights", "/nowhere.pth", "model.weights=/nowhere.pth is not accepted"),
        ("finetune", "layer9", "layer9 is no block"),
        ("model.name", "resnet19", "model.name=resnet19 is not accepted"),
        ("model.weights", "{file}", "do not fit Sequential: Missing .*fc1"),
    ],
)
def test_the_network_is_checked_before_images_are_rendered_or_decoded(make_config, tmp_path, rendered, key, value, sentence):
    save_file({"x": torch.zeros(2)}, tmp_path / "w.safetensors")
    config = make_config()
    if rendered:
        config.data.name, config.data.root, config.data.train_per_class = "scenes", None, 10**6
    group, _, name = key.rpartition(".")
    setattr(getattr(config, group) if group else config, name, value.format(file=tmp_path / "w.safetensors"))
    with pytest.raises(LthError, match=sentence):
        search(config)
    assert not list(tmp_path.glob("outputs/cache/*/"))


def test_one_experiment_leaves_table_figure_and_board(images, tmp_path):
    told = run(*small(images, tmp_path / "o u t"), "prune.rounds=1")
    assert told.returncode == 0, told.stderr
    out = tmp_path / "o u t"
    table = (out / "table.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert "\n".join(rows) in told.stdout
    assert [line.split("|")[2].strip() for line in rows[2:]] == ["0", "1"]
    assert (out / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "weights remaining" in table
    assert f"python -m lth.board '{out}'" in told.stdout
    assert (out / "experiments" / "verdict").is_dir()
    assert "80.0% of weights" in told.stdout
    assert not list(tmp_path.glob("outputs"))
    assert not list(out.glob("**/.hydra"))


def test_a_sweep_trains_each_dense_network_once(images, tmp_path):
    told = run("-m", *small(images, tmp_path), "prune.rate=0.2,0.5,0.8", "seed=0,1", "prune.rounds=1")
    assert told.returncode == 0, told.stderr
    names = [p.parent.name for p in tmp_path.glob("rounds/*/round.json")]
    assert len(names) == 2 + 6
    assert sum("round00" in name for name in names) == 2
    assert "job 1/6, round 0/1, 100.0% of weights, epoch 1/1: " in told.stderr
    assert "job 6/6, round 1/1, " in told.stderr
    blocks = (tmp_path / "table.md").read_text().strip().split("\n\n")
    summary, rows = (block for block in blocks if block.startswith("|"))
    assert len(summary.splitlines()) == 2 + 1 + 3
    assert summary in told.stdout
    assert len(rows.splitlines()) == 2 + 8


def test_a_sweep_over_rounds_goes_on_from_the_last(images, tmp_path):
    told = run(*small(images, tmp_path), "-m", "prune.rounds=0,1,2,3")
    assert told.returncode == 0, told.stderr
    assert len(list(tmp_path.glob("rounds/*/round.json"))) == 4
    for k in range(4):
        assert told.stderr.count(f"round {k}/") == 1


def test_a_sweep_leaves_nothing_in_the_folder_where_it_is_typed(images, tmp_path):
    (tmp_path / "here").mkdir()
    told = run("-m", *small(images, tmp_path / "o"), "prune=dense", "seed=0,1", "logger=none", cwd=tmp_path / "here")
    assert told.returncode == 0, told.stderr
    assert not list((tmp_path / "here").iterdir())
    about = "3 classes (across, down, plain): 102 train, 18 val (15% of train), 36 test images"
    assert told.stdout.count(about) == 1, "once for all jobs"
    assert told.stdout.index(about) < told.stdout.index("round 0/0")


def test_a_failed_job_is_told_at_the_end_and_the_others_run(images, tmp_path):
    told = run("-m", *small(images, tmp_path), "prune=dense", "finetune=all,layer3,head")
    assert told.returncode == 2
    failures = [line for line in told.stderr.splitlines() if "failed" in line]
    assert len(failures) == 1
    assert failures[0].startswith("lth: job 1 (")
    assert "finetune=layer3 is not accepted" in told.stderr.splitlines()[-1]
    assert len(list(tmp_path.glob("rounds/*/round.json"))) == 2


def test_it_runs_from_any_folder(images, tmp_path):
    told = run(*small(images, tmp_path / "x"), "prune=dense", cwd=tmp_path)
    assert told.returncode == 0, told.stderr


def test_the_score_that_sweepers_optimise_is_the_last_validation_accuracy(images, tmp_path, monkeypatch):
    from hydra import compose, initialize_config_dir

    from lth.run import job
    from lth.tree.store import Store

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*small(images, tmp_path), "prune.rounds=1", "logger=none"])
    score = job.__wrapped__(cfg)
    last = next(tmp_path.glob("rounds/*round01*")).name.rpartition("-")[2]
    assert score == Store(tmp_path).read(last)["val_acc"]


def test_ctrl_c_while_it_is_imported_ends_without_a_traceback():
    code = """if True:
        import os, runpy, signal, sys
        class Finder:
            def find_spec(self, name, *rest):
                if name == "hydra":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Finder())
        runpy.run_module("lth.run", run_name="__main__")"""
    told = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (told.returncode, told.stderr) == (-signal.SIGINT, "")


def test_a_second_ctrl_c_which_lightning_makes_an_exit_of_says_how_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr(door, "job", lambda: sys.exit(1))
    monkeypatch.setattr(signals, "_asked", ["SIGINT"])
    with pytest.raises(SystemExit) as end:
        door.main()
    assert end.value.code == 130
    assert "the same command goes on" in capsys.readouterr().err
