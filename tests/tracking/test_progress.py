"""What is shown while rounds train: plain lines in a log, a live bar in a terminal."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from lth.tracking.progress import Progress
from lth.tracking.remaining import Remaining
from lth.training.search import search


def trainer(epoch: int, first: bool = True, **metrics: float) -> SimpleNamespace:
    metrics = {name.replace("_", "/"): value for name, value in metrics.items()}
    facts = {"current_epoch": epoch, "max_epochs": 4, "num_training_batches": 2, "is_global_zero": first}
    return SimpleNamespace(**facts, callback_metrics=metrics)


def test_a_log_has_one_line_an_epoch_also_with_more_validations(make_config, capsys):
    config = make_config(rounds=1, epochs=2)
    config.trainer.val_check_interval = 2
    search(config, say=lambda line: None, job="job 2, ")
    lines = capsys.readouterr().err.splitlines()
    expected = [f"job 2, round {k}/1, x% of weights, epoch {epoch}/2: val loss x, val acc x" for k in (0, 1) for epoch in (1, 2)]
    assert [re.sub(r"\d+\.\d+", "x", line) for line in lines] == expected


@pytest.mark.parametrize(("scores", "text"), [({}, ""), ({"val_loss": 0.25, "val_r2": 0.5}, ": val loss 0.250, val r2 0.500")])
def test_a_terminal_has_a_bar_of_the_whole_experiment_with_the_time_remaining(monkeypatch, scores, text):
    monkeypatch.setattr(sys, "stderr", terminal := io.StringIO())
    terminal.isatty = lambda: True
    remaining = Remaining(10, done=4, started=time.time() - 50)  # 10 seconds an epoch, the present one included
    bar, here = Progress("round 1/2, 80.0% of weights", remaining, score="val/r2"), trainer(0, **scores)
    bar.on_train_start(here, None)
    bar.on_train_epoch_start(here, None)
    time.sleep(0.11)  # tqdm draws ten times a second at most
    for batch in range(2):
        bar.on_train_batch_end(here, None, None, None, batch)
    bar.bar.refresh()
    shown = terminal.getvalue().split("\r")[-1]
    assert re.fullmatch(rf"round 1/2, 80\.0% of weights, epoch 1/4{text} \|.*\| 50%, 00:(49|50|51) left *", shown), shown
    bar.teardown(here, None, "fit")
    assert bar.bar is None


def test_other_ranks_and_epochs_without_validation(capsys):
    for first in (True, False):
        bar = Progress("round 0/1", Remaining(4))
        bar.on_train_start(trainer(0, first), None)
        bar.on_train_epoch_end(trainer(0, first), None)
    assert capsys.readouterr().err == "round 0/1, epoch 1/4\n"
