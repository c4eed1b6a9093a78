"""What is shown while rounds train: plain lines in a log, a live bar in a terminal."""

import os
import re
import subprocess
import sys

import pytest

from lth.cli import sweep
from lth.tracking import progress
from lth.tracking import remaining as outlook
from lth.training.search import search


def test_a_log_has_one_line_an_epoch_also_with_more_validations(make_config, capsys):
    config = make_config(rounds=1, epochs=2)
    config.trainer.val_check_interval = 2
    search(config, say=lambda line: None, job="job 2/6, ")
    lines = capsys.readouterr().err.splitlines()
    expected = [
        f"job 2/6, round {k}/1, x% of weights, epoch {epoch}/2: val loss x, val acc x" for k in (0, 1) for epoch in (1, 2)
    ]
    assert [re.sub(r"\d+\.\d+", "x", line) for line in lines] == expected


def test_time_left_is_that_of_all_missing_rounds_at_the_pace_so_far(monkeypatch):
    clock = iter([0.0, 2.0, 12.0, 20.0])
    monkeypatch.setattr(outlook.time, "monotonic", lambda: next(clock))
    left = outlook.Outlook(12)
    left.start()
    assert left.left(1) == 22
    left.trained(4)
    assert left.left(2) == 12
    left.found(4)
    assert left.left(4) == 0


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 4096)
    except BlockingIOError:
        return b""


def test_a_terminal_has_a_bar_of_the_whole_experiment(images, tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    pytest.importorskip("termios").tcsetwinsize(theirs, (30, 120))
    options = "data=folder data.image_size=20 data.batch_size=16 epochs=2 model=lenet_300_100 trainer=cpu logger=none"
    command = [sys.executable, "-m", "lth.run", *options.split(), f"data.root={images}", f"outputs={tmp_path}", "prune.rounds=1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.set_blocking(ours, False)  # read before the other end is closed: what it holds would be lost
    shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    os.close(theirs)
    os.close(ours)
    assert re.search(r"round 0/1, 100\.0% of weights, epoch 1/2 \|.*\| +\d+%, \d\d:\d\d left, loss \d", shown)
    assert re.search(r"round 1/1, 80\.0% of weights, epoch \d/2 \|.*\| +[5-9]\d%, \d\d:\d\d left", shown)
    assert "val loss" not in shown
    assert b"round 1/1:  80.0% of weights" in told.stdout


def test_the_loss_is_read_a_few_times_a_second_at_most():
    assert progress.REFRESH >= 0.3


@pytest.mark.parametrize(
    ("arguments", "jobs"),
    [
        ("-m seed=0,1,2 prune.rate=0.2,0.5", 6),
        ("--multirun prune.rounds=range(1,4) epochs=5", 3),
        ("seed=choice(1,2)", 2),
        ("epochs=2", 1),
        ("optim.lr=interval(0,1)", None),
        ("model=glob(*)", None),
    ],
)
def test_a_command_line_tells_the_number_of_its_jobs(arguments, jobs):
    assert sweep.total(arguments.split()) == jobs


def test_outside_of_a_sweep_no_job_is_named():
    assert sweep.job() == ""
