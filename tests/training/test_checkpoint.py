"""Rewinding to a checkpoint of round 0, and the three ways to retrain."""

import copy
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from lth import load_ticket
from lth.config import Prune
from lth.errors import DataError, UsageError
from lth.hashes import differing
from lth.training.search import search
from lth.tree import checkpoint, files
from lth.tree.checkpoint import Checkpoint, Progress

PER_EPOCH = 7  # optimiser steps of an epoch of the test images


def run(config, **changes):
    for name, value in changes.items():
        group, _, key = name.partition("__")
        setattr(getattr(config, group), key, value)
    return search(config, say=lambda line: None)


def final(config, record):
    return files.read_tensors(Path(config.outputs) / "rounds" / record.name / "final.safetensors")[0]


def started(config, record):
    return load_ticket(Path(config.outputs) / "rounds" / record.name)


def test_the_rewind_checkpoint_after_an_epoch_is_what_a_training_of_one_epoch_ends_with(make_config, tmp_path):
    config = make_config(rounds=2, epochs=3, model="simple_cnn")
    records = run(config, prune__rewind="1ep")
    short = make_config(outputs=tmp_path / "short", rounds=0, epochs=1, model="simple_cnn")
    [one] = run(short)
    for record in records[1:]:
        ticket = started(config, record)
        assert not differing(ticket.rewind, final(short, one))
        assert record.begin_iteration == PER_EPOCH
        assert record.iterations == 3 * PER_EPOCH, "it ends where the dense network's schedule does"
        assert record.checks["start"]["optimiser_states"] > 0


@pytest.mark.parametrize("at", ["5it", "7it", "10it"])
@pytest.mark.parametrize("optim", ["adam", "sgd"])
def test_going_on_from_a_rewind_checkpoint_is_as_if_there_had_been_no_stop(make_config, at, optim, monkeypatch):
    """Nothing pruned: round 1 repeats the rest of round 0 to the bit, weights, moments, schedule, data, augmentation, dropout."""
    from lth.pruning import allocation
    from lth.training import start

    monkeypatch.setattr(allocation, "kept_after", lambda kept, rate, rounds: kept)
    monkeypatch.setattr(start, "require_weights", lambda task, prune: None)  # it refuses to prune nothing
    config = make_config(rounds=1, epochs=3, model="simple_cnn", augment="flip")
    records = run(config, prune__rewind=at, optim__name=optim, optim__schedule="cosine", optim__warmup=3)
    assert records[1].density == 1
    assert records[1].begin_iteration == int(at[:-2])
    assert not differing(final(config, records[0]), final(config, records[1]))


def test_a_rewind_checkpoint_that_is_written_and_one_that_is_trained_again_are_the_same(make_config, tmp_path):
    noted = make_config(outputs=tmp_path / "a", rounds=1, epochs=2)
    first = run(noted, prune__rewind="5it")
    later = make_config(outputs=tmp_path / "b", rounds=0, epochs=2)
    run(later)
    assert not list((tmp_path / "b").glob("checkpoints/*"))
    again = make_config(outputs=tmp_path / "b", rounds=1, epochs=2)
    second = run(again, prune__rewind="5it")
    assert [r.key for r in first] == [r.key for r in second]
    (a,), (b,) = (list((tmp_path / x).glob("checkpoints/*.safetensors")) for x in "ab")
    assert a.read_bytes() == b.read_bytes()
    assert not differing(final(noted, first[1]), final(again, second[1]))


def test_a_damaged_rewind_checkpoint_is_computed_again_to_the_same_bits(make_config, tmp_path):
    config = make_config(rounds=1, epochs=2)
    run(config, prune__rewind="5it")
    [path] = (tmp_path / "outputs" / "checkpoints").glob("*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(DataError, match=f"{path.name} is damaged"):
        checkpoint.load(path)
    assert len(run(make_config(rounds=2, epochs=2), prune__rewind="5it")) == 3
    assert path.read_bytes() == whole


def test_rewinding_the_learning_rate_keeps_the_trained_weights(make_config):
    config = make_config(rounds=2, epochs=2)
    records = run(config, prune__retrain="lr", optim__schedule="cosine")
    for before, record in pairwise(records):
        assert not differing(started(config, record).rewind, final(config, before))
        assert record.checks["start"] == {"holds": True, "differing": [], "optimiser_states": 0, "lr": 0.001}
        assert all(entry["holds"] for entry in record.checks.values())


def test_fine_tuning_goes_on_at_the_last_rate(make_config):
    config = make_config(rounds=1, epochs=3)
    config.optim.warmup = 2
    records = run(config, prune__retrain="finetune")
    assert not differing(started(config, records[1]).rewind, final(config, records[0]))
    assert records[0].checks["start"]["lr"] == pytest.approx(0.001 / 3), "the warm-up's first"
    assert records[1].checks["start"]["lr"] == 0.001
    with pytest.raises(UsageError, match=r"prune.retrain=finetune is not accepted with optim.schedule=cosine"):
        run(make_config(rounds=1, epochs=50), prune__retrain="finetune", optim__schedule="cosine")


def test_the_ways_to_retrain_share_the_dense_network_and_nothing_else(make_config):
    made = [run(make_config(rounds=1), **change) for change in (
        {}, {"prune__retrain": "lr"}, {"prune__retrain": "finetune"}, {"prune__rewind": "1ep"}, {"prune__criterion": "random"},
    )]  # fmt: skip
    assert len({records[0].key for records in made}) == 1
    assert len({records[1].key for records in made}) == 5


def test_a_rewind_checkpoint_past_the_end_is_refused(make_config):
    with pytest.raises(UsageError, match=r"prune.rewind=14it is not accepted: training takes 14 iterations"):
        run(make_config(rounds=1), prune__rewind="14it")


@pytest.mark.parametrize("value", ["0it", "5", "it", "2 ep", "epoch 2", "-1it", "1.5ep"])
def test_what_is_no_rewind_checkpoint_is_refused(value):
    with pytest.raises(UsageError, match=r"prune.rewind=.* init, iterations such as 500it, or epochs such as 2ep"):
        Prune(rewind=value)


def test_pruned_weights_have_no_moments():
    held = {"w/exp_avg": torch.ones(3), "w/step": torch.tensor(5.0), "b/exp_avg": torch.ones(3)}
    masked = checkpoint.masked(held, {"w": torch.tensor([True, False, True])})
    assert masked["w/exp_avg"].tolist() == [1, 0, 1]
    assert masked["w/step"] == 5
    assert masked["b/exp_avg"].tolist() == [1, 1, 1]


def test_a_checkpoint_is_written_and_read_to_the_bit(tmp_path):
    rows = [{"epoch": 1, "iteration": 3, "val_loss": 0.1, "val_acc": 1 / 3}]
    progress = Progress(rows, {3: {"a.w": torch.ones(3, 2)}}, {"revived": [0]}, {"sums": torch.arange(3.0)}, 1.5, 2)
    saved = Checkpoint(
        3, {"a.w": torch.randn(3, 2)}, {"a.w/exp_avg": torch.randn(3, 2), "a.w/step": torch.tensor(3.0)},
        {"cpu": torch.get_rng_state(), "cuda": torch.arange(16, dtype=torch.uint8)}, {"scale": torch.tensor(2.0**40).double()},
        [{"scheduler": {"last_epoch": 3}, "groups": [{"lr": 0.1}]}], progress, epoch=1,
    )  # fmt: skip
    path = tmp_path / "checkpoints" / "x.safetensors"
    checkpoint.save(path, copy.deepcopy(saved))
    read = checkpoint.load(path)
    assert (read.step, read.epoch, read.schedules) == (3, 1, saved.schedules)
    for part in checkpoint.PARTS:
        assert not differing(getattr(read, part), getattr(saved, part)), part
    assert not differing(read.progress.weights[3], progress.weights[3])
    assert not differing(read.progress.sums, progress.sums)
    plain = ("rows", "observed", "seconds", "sessions")
    assert [getattr(read.progress, name) for name in plain] == [getattr(progress, name) for name in plain]


def test_validating_more_often_than_once_an_epoch(make_config):
    config = make_config(rounds=1, epochs=2)
    records = run(config, trainer__val_check_interval=4)
    path = Path(config.outputs) / "rounds" / records[1].name / "metrics.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert [row[:2] for row in rows[1:]] == [["1", "4"], ["2", "8"], ["2", "12"], ["2", "14"]]
    assert records[1].early_stop_iteration in (4, 8, 12, 14)
    plain = run(make_config(outputs=Path(config.outputs) / "plain", rounds=1, epochs=2))
    for name in ("test_acc", "val_acc", "train_acc", "iterations"):
        assert getattr(plain[1], name) == getattr(records[1], name), "looking more often changes nothing"
