"""How commands end: exit codes and one sentence; failed jobs; TensorBoard."""

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import lth
from lth.__main__ import COMMANDS
from lth.cli import command, sweep, usage
from lth.errors import DataError, Interrupted, UsageError

ENDS = [
    (0, 0, ""),
    (1, 1, ""),
    (UsageError("x=1 is not accepted: it takes 2."), 2, "lth: x=1 is not accepted: it takes 2."),
    (DataError("a is no folder."), 1, "lth: a is no folder."),
    (Interrupted("SIGTERM: saved."), 75, "lth: SIGTERM: saved."),
    (OSError(28, "No space left on device", "out/a"), 1, "lth: out/a: No space left on device; finished rounds are kept"),
    (ValueError("odd"), 1, "lth: ValueError: odd (HYDRA_FULL_ERROR=1 shows where)"),
    (KeyboardInterrupt(), 130, "lth: stopped."),
]


@pytest.mark.parametrize(("end", "code", "sentence"), ENDS)
def test_a_command_ends_with_a_code_and_at_most_one_sentence(end, code, sentence, capsys):
    def work() -> int:
        if isinstance(end, BaseException):
            raise end
        return end

    got = 0
    try:
        command.run_command(work)
    except SystemExit as error:
        got = error.code
    lines = capsys.readouterr().err.splitlines()
    assert (got, len(lines)) == (code, bool(sentence))
    assert "".join(lines).startswith(sentence)


def test_the_package_lists_its_commands_and_its_version():
    for option, lines in (([], 1 + len(COMMANDS)), (["--version"], 1)):
        done = subprocess.run([sys.executable, "-m", "lth", *option], check=True, capture_output=True, text=True)
        assert done.stdout.startswith(f"lth {lth.__version__}")
        assert len(done.stdout.splitlines()) == lines
    package = Path(lth.__file__).parent
    assert all((package / f"{name}.py").exists() or (package / name / "__main__.py").exists() for name in COMMANDS)


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


def test_tensorboard_is_opened_on_an_outputs_folder_without_smoothing(tmp_path):
    line = [sys.executable, "-m", "lth.board", str(tmp_path), "--reload_interval=5"]
    empty = subprocess.run(line, check=False, capture_output=True, text=True)
    assert (empty.returncode, empty.stderr.partition(";")[0]) == (1, f"lth: {tmp_path} holds no rounds")
    (tmp_path / "rounds" / "a-0").mkdir(parents=True)
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as board:
        address = board.stdout.readline().split()[-1]
        assert address.endswith("/?smoothing=0#timeseries")
        assert urllib.request.urlopen(address).status == 200
        board.send_signal(signal.SIGINT)
    assert board.returncode == 130
