"""How commands end: exit codes and one sentence; what a sweep knows of its jobs; the address of TensorBoard."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.errors import HydraException
from omegaconf import OmegaConf

import lth
from lth import board, config
from lth.__main__ import COMMANDS
from lth.cli import command, sweep, usage
from lth.errors import DataError, Interrupted, UsageError


def fails(error: BaseException):
    def work() -> int:
        raise error

    return work


ENDS = [
    (lambda: 0, 0, ""),
    (lambda: 1, 1, ""),
    (fails(UsageError("x=1 is not accepted: it takes 2.")), 2, "lth: x=1 is not accepted: it takes 2."),
    (fails(DataError("a is no folder.")), 1, "lth: a is no folder."),
    (fails(Interrupted("SIGTERM: saved.")), 75, "lth: SIGTERM: saved."),
    (fails(HydraException("bad word\nmore")), 2, "lth: bad word."),
    (fails(OSError(28, "No space left on device", "out/a")), 1, "lth: out/a: No space left on device; finished rounds are kept"),
    (fails(ValueError("odd")), 1, "lth: ValueError: odd (HYDRA_FULL_ERROR=1 shows where)"),
    (fails(KeyboardInterrupt()), 130, "lth: stopped."),
]


@pytest.mark.parametrize(("work", "code", "sentence"), ENDS)
def test_a_command_ends_with_a_code_and_at_most_one_sentence(work, code, sentence, capsys):
    if code:
        with pytest.raises(SystemExit) as end:
            command.run_command(work)
        assert end.value.code == code
    else:
        command.run_command(work)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == bool(sentence)
    assert "".join(lines).startswith(sentence)


def test_the_whole_traceback_is_shown_on_request(monkeypatch):
    monkeypatch.setattr(command, "FULL_ERROR", True)
    with pytest.raises(ValueError, match="odd"):
        command.run_command(fails(ValueError("odd")))


def test_nobody_reads_the_output():
    code = "print('x' * 10**6); raise BrokenPipeError(32, 'Broken pipe')"
    work = f"import lth.cli.command as c\ndef work():\n    {code}\nc.run_command(work)"
    done = subprocess.run(f'{sys.executable} -c "{work}" | head -c 1', shell=True, check=False, capture_output=True, text=True)
    assert done.stdout == "x"
    assert len(done.stderr.splitlines()) == 1


def test_the_package_lists_its_commands_and_its_version():
    for option, lines in (([], 1 + len(COMMANDS)), (["--version"], 1)):
        done = subprocess.run([sys.executable, "-m", "lth", *option], check=True, capture_output=True, text=True)
        assert done.stdout.startswith(f"lth {lth.__version__}")
        assert len(done.stdout.splitlines()) == lines
    assert all((Path(lth.__file__).parent / name).with_suffix(".py").exists() or name == "report" for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        ("-m seed=0,1,2 prune.rate=0.2,0.5", 6),
        ("--multirun prune.rounds=range(1,4) --config-dir mine epochs=5", 3),
        ("seed=choice(1,2)", 2),
        ("epochs=2", 1),
        ("optim.lr=interval(0,1)", None),
        ("model=glob(*)", None),
    ],
)
def test_a_command_line_says_how_many_jobs_it_asks_for(arguments, jobs):
    assert sweep.total(arguments.split()) == jobs
    assert sweep.title() == "", "outside a sweep"


def test_failed_jobs_are_reported_once_and_a_signal_stops_all(capsys):
    for error in (DataError("one."), Interrupted("SIGTERM: saved."), Interrupted("SIGTERM: saved.")):
        sweep.failed(error)
    assert sweep.end() == 75
    assert capsys.readouterr().err == "lth: one.\nlth: SIGTERM: saved.\n"
    assert sweep.end() == 0


def test_overrides_come_after_options(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["lth", "seed=0,1", "-m", "~prune", "--config-dir", "mine", "experiment=x", "--cfg=job"])
    monkeypatch.setattr("argparse.ArgumentParser.error", None)
    usage.prepare()
    assert sys.argv[1:] == ["-m", "--config-dir", "mine", "--cfg=job", "seed=0,1", "~prune", "experiment=x"]


def test_every_key_is_similar_to_itself_and_to_its_last_word():
    known = usage.keys()
    assert all(key in usage._similar(key.rpartition(".")[2]) for key in known)
    assert {"seed", "data.root", "trainer.compile"} <= set(known)
    assert usage.config(OmegaConf.structured(config.Config)) == config.Config(data=config.Data(cache="outputs/cache"))


def test_tensorboard_is_opened_on_an_outputs_folder_without_smoothing(tmp_path):
    (tmp_path / "rounds" / "a-0").mkdir(parents=True)
    line, address = board.command([str(tmp_path), "--port", "6010", "--reload_interval=5"])
    assert line[1:] == ["-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", "6010", "--reload_interval=5"]
    assert address == "http://localhost:6010/?smoothing=0#custom_scalars&_smoothingWeight=0"
    assert "--port" in board.command([str(tmp_path)])[0], "the address must be right where port 6006 is taken"
    with pytest.raises(DataError, match="holds no rounds"):
        board.command([str(tmp_path / "none")])
