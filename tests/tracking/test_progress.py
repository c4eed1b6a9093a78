"""What is shown while rounds train: plain lines in a log, a live bar in a terminal."""

import io
import re
import sys
import time
from types import SimpleNamespace

import pytest

from lth.tracking import progress
from lth.tracking.progress import Progress
from lth.tracking.remaining import Remaining
from lth.training.search import search


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def trainer(epoch: int, **metrics: float) -> SimpleNamespace:
    metrics = {name.replace("_", "/"): value for name, value in metrics.items()}
    facts = {"current_epoch": epoch, "max_epochs": 4, "num_training_batches": 2, "is_global_zero": True}
    return SimpleNamespace(**facts, callback_metrics=metrics)


def in_terminal(monkeypatch, refresh: float = 0.0) -> Terminal:
    """Not a fixture: pytest takes stderr back before a test begins."""
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "REFRESH", refresh or progress.REFRESH)
    return terminal


def test_a_log_has_one_line_an_epoch_also_with_more_validations(make_config, capsys):
    config = make_config(rounds=1, epochs=2)
    config.trainer.val_check_interval = 2
    search(config, say=lambda line: None, job="job 2/6, ")
    lines = capsys.readouterr().err.splitlines()
    expected = [
        f"job 2/6, round {k}/1, x% of weights, epoch {epoch}/2: val loss x, val acc x" for k in (0, 1) for epoch in (1, 2)
    ]
    assert [re.sub(r"\d+\.\d+", "x", line) for line in lines] == expected


def test_a_terminal_has_a_bar_of_the_whole_experiment_with_the_time_remaining(monkeypatch):
    terminal = in_terminal(monkeypatch, 1e-9)
    remaining = Remaining(10, done=4, started=time.time() - 50)  # 10 seconds an epoch, the present one included
    bar = Progress("round 1/2, 80.0% of weights", remaining)
    bar.on_train_start(trainer(0), None)
    bar.on_train_batch_end(trainer(0), None, {"loss": 0.25}, None, 0)
    bar.on_train_batch_end(trainer(0, val_acc=0.5), None, {"loss": 0.125}, None, 1)
    bar.on_train_epoch_end(trainer(0, val_acc=0.5), None)
    shown = terminal.getvalue().split("\r")[-1]
    expected = r"round 1/2, 80\.0% of weights, epoch 1/4 \|.*\| 50%, 00:(49|50|51) left, loss 0\.125, val acc 0\.500 *"
    assert re.fullmatch(expected, shown), shown
    bar.teardown(trainer(0), None, "fit")
    assert bar.bar is None


@pytest.mark.parametrize(("outputs", "loss"), [(None, ""), ({}, ""), ({"other": 1}, ""), (0.5, "loss 0.500, ")])
def test_a_module_of_ones_own_may_give_no_loss_and_have_another_score(monkeypatch, outputs, loss):
    terminal = in_terminal(monkeypatch, 1e-9)
    bar = Progress("round 0/1", Remaining(4), score="val/r2")
    bar.on_train_start(trainer(2), None)
    bar.on_train_batch_end(trainer(2, val_r2=0.75), None, outputs, None, 0)
    assert re.fullmatch(rf"round 0/1, epoch 3/4 .* 62%, .* left, {loss}val r2 0\.750 *", terminal.getvalue().split("\r")[-1])


def test_the_loss_is_read_a_few_times_a_second_at_most(monkeypatch):
    in_terminal(monkeypatch)
    bar = Progress("round 0/1", Remaining(4))
    bar.on_train_start(trainer(0), None)
    reads = []

    class Loss:
        def __float__(self) -> float:
            reads.append(time.monotonic())
            return 0.0

    begin = time.monotonic()
    while time.monotonic() - begin < 0.7:
        bar.on_train_batch_end(trainer(0), None, {"loss": Loss()}, None, 0)
    assert len(reads) == 2


def test_other_ranks_and_epochs_without_validation(capsys):
    first, second = trainer(0), SimpleNamespace(**vars(trainer(0)) | {"is_global_zero": False})
    for rank in (first, second):
        bar = Progress("round 0/1", Remaining(4))
        bar.on_train_start(rank, None)
        bar.on_train_epoch_end(rank, None)
    assert capsys.readouterr().err == "round 0/1, epoch 1/4\n"
