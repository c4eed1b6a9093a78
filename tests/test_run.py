"""The command line of lth.run, as a user types it."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import save_file

import lth
import lth.run as command
from lth.cli import signals
from lth.config import Config, Logger
from lth.errors import LthError
from lth.tracking import job
from lth.training.search import search
from lth.tree import record
from tests.analysis.invent import arm


def run(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess:
    """Run the command in a process of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    line = [sys.executable, "-m", "lth.run", *arguments]
    return subprocess.run(line, check=False, capture_output=True, text=True, cwd=cwd, env=env)


def small(images: Path, outputs: Path) -> list[str]:
    options = "data=folder data.image_size=20 data.batch_size=16 epochs=1 model=lenet_300_100 trainer=cpu"
    return [*options.split(), f"data.root={images}", f"outputs={outputs}"]


@pytest.fixture
def here(typed, monkeypatch, tmp_path):
    """A function that runs the command in this process, in an empty folder: exit code, stdout, stderr."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*arguments: str) -> tuple[int, str, str]:
        ended = typed(command.main, *arguments)
        assert not list(Path.cwd().iterdir()), "nothing is left in the folder where it is typed"
        return ended

    return call


def test_help_has_three_examples_and_every_group(here):
    code, out, _ = here("--help")
    assert code == 0
    assert out.count("python -m lth.run") == 3
    for group in ("data", "model", "prune", "optim", "trainer", "logger", "score", "experiment"):
        assert f"{group}: " in out
    assert here("--version")[:2] == (0, f"lth {lth.__version__}\n")


LIGHT = (["--help"], ["--version"], ["--cfg", "job"], ["lr=0.2"], ["+foo=1"], ["seed=0,1"], ["prune.rate=2"])


def test_help_a_typo_and_finished_rounds_do_not_import_torch(images, tmp_path):
    lines = [*LIGHT, [*small(images, tmp_path), "prune.rounds=1"]]
    assert run(*lines[-1]).returncode == 0
    code = f"""if True:
        import contextlib, os, sys
        from lth.run import main
        for line in {lines}:
            sys.argv[1:] = line
            with contextlib.suppress(SystemExit):
                main()
            assert "torch" not in sys.modules, line"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "round 1/1" not in done.stdout, "it is read"
    assert "weights remaining" in done.stdout


@pytest.mark.parametrize("override", ["prune.rat=1", "data.root=/nowhere"])
def test_the_traceback_is_shown_on_request_alone(here, images, tmp_path, override):
    arguments = [*small(images, tmp_path), override]
    code, _, err = here(*arguments)
    assert code == 1 + ("prune" in override)
    assert re.fullmatch(r"lth: .*[.?]\n", err)
    assert "Traceback" in run(*arguments, HYDRA_FULL_ERROR="1").stderr


@pytest.mark.parametrize("rendered", [False, True])
@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("model.weights", "/nowhere.pth", "model.weights=/nowhere.pth is not accepted"),
        ("finetune", "layer9", "layer9 is no block"),
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


def test_one_experiment_leaves_tables_figures_and_the_next_commands(here, images, tmp_path):
    outputs = tmp_path / "o u t"
    code, out, err = here(*small(images, outputs), "prune.rounds=1")
    assert code == 0, err
    rows = [line for line in (outputs / "table.md").read_text().splitlines() if line.startswith("|")]
    assert "\n".join(rows) in out
    assert [line.split("|")[2].strip() for line in rows[2:]] == ["0", "1"]
    assert (outputs / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert (outputs / "experiments" / "verdict").is_dir()
    for program in ("board", "report"):
        assert f"python -m lth.{program} '{outputs}'" in out
    assert "80.0% of weights" in out
    assert not list(outputs.glob("**/.hydra"))


@pytest.mark.parametrize("wins", [True, False])
def test_the_sparsest_ticket_is_pointed_to(tmp_path, capsys, wins):
    tickets = arm(1, [0.85, 0.86, 0.87], [500, 500, 500]) if wins else arm(1, [0.7, 0.71, 0.72])
    records = [*arm(0, [0.8, 0.81, 0.82]), *(replace(record, folder=Path(f"seed{record.seed}")) for record in tickets)]
    job.show(Config(outputs=str(tmp_path), logger=Logger("none")), records, records)
    assert ("ticket       seed0\n" in capsys.readouterr().out) == wins


def test_a_sweep_trains_each_dense_network_once(here, images, tmp_path):
    code, out, err = here("-m", *small(images, tmp_path), "prune.rate=0.2,0.5", "seed=0,1", "prune.rounds=1", "logger=none")
    assert code == 0, err
    names = [p.parent.name for p in tmp_path.glob("rounds/*/round.json")]
    assert len(names) == 2 + 4
    assert sum("round00" in name for name in names) == 2
    assert "job 0, round 0/1, 100.0% of weights, epoch 1/1: " in err
    assert "job 3, round 1/1, " in err
    blocks = (tmp_path / "table.md").read_text().strip().split("\n\n")
    summary, rows = (block for block in blocks if block.startswith("|"))
    assert len(summary.splitlines()) == 2 + 1 + 2
    assert summary in out
    assert len(rows.splitlines()) == 2 + 6


def test_several_devices_are_refused_in_a_sweep(here, images, tmp_path):
    code, _, err = here("-m", *small(images, tmp_path), "trainer.devices=2", "seed=0,1")
    assert code == 2
    assert err.count("trainer.devices=2 is not accepted in a sweep (-m): it takes 1 there") == 2


def test_a_sweep_over_rounds_continues_from_the_last_and_a_failed_job_is_reported_at_the_end(here, images, tmp_path):
    code, _, err = here(*small(images, tmp_path), "-m", "prune.rounds=0,1,2", "finetune=all,layer3", "logger=none")
    assert code == 2
    assert len(list(tmp_path.glob("rounds/*/round.json"))) == 3
    assert [err.count(f"round {k}/") for k in range(3)] == [1, 1, 1]
    failures = err.splitlines()[-3:]
    assert [re.match(r"lth: job (\d)", line)[1] for line in failures] == ["1", "3", "5"]
    assert all("failed: finetune=layer3 is not accepted" in line for line in failures)
    assert err.count("failed") == 3


MINE = """# @package _global_
defaults:
  - override /data: photos
  - override /optim: mine
epochs: 1
hydra: {callbacks: {mine: {_target_: my_code.Callback}}}
"""
CODE = """from hydra.experimental.callback import Callback as Base

class Callback(Base):
    def on_job_start(self, config, **options):
        print("my code runs", config.optim.lr)
"""


def test_configurations_and_code_of_ones_own(images, tmp_path):
    files = {
        "conf/experiment/mine.yaml": MINE,
        "conf/data/photos.yaml": f"name: folder\nroot: {images}\nimage_size: 20\n",
        "conf/optim/mine.yaml": "name: sgd\nlr: 0.03\n",
        "my_code.py": CODE,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    arguments = ["experiment=mine", "--config-dir", "conf", "model=lenet_300_100", "prune=dense", "trainer=cpu", "logger=none"]
    done = run(*arguments, cwd=tmp_path, PYTHONPATH=str(Path(lth.__file__).parent.parent))
    assert done.returncode == 0, done.stderr
    assert "my code runs 0.03" in done.stdout
    [one] = record.read(tmp_path / "outputs").records
    assert (one.data, one.image_size) == ("folder", 20)
    assert one.settings["optim.lr"] == 0.03
    missing = run(*arguments, "optim=yours", cwd=tmp_path, PYTHONPATH=str(Path(lth.__file__).parent.parent))
    assert missing.stderr == "lth: optim=yours is not accepted: it takes one of adam, adamw, mine, sgd.\n"


def test_the_score_that_sweepers_optimise_is_the_last_validation_accuracy(images, tmp_path):
    with initialize_config_dir(str(command.CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*small(images, tmp_path), "prune.rounds=1", "logger=none"])
    score = command.job.__wrapped__(cfg)
    [last] = [r for r in record.read(tmp_path).records if r.round == 1]
    assert score == last.early_stop_val_acc


@pytest.mark.parametrize("end", [SystemExit(1), KeyboardInterrupt()])
def test_a_second_ctrl_c_which_lightning_makes_an_exit_of_says_how_to_go_on(here, monkeypatch, end):
    def stopped() -> None:
        raise end

    monkeypatch.setattr(command, "job", stopped)
    monkeypatch.setattr(signals, "_asked", ["SIGINT"])
    code, _, err = here()
    assert code == 130
    assert "the same command goes on" in err
