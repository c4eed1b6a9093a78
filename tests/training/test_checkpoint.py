"""Rewinding to a checkpoint of round 0, and the three ways to retrain."""

import copy
from itertools import pairwise

import pytest
import torch
from pytorch_lightning.plugins import MixedPrecision

from lth import load_ticket
from lth.errors import UsageError
from lth.hashes import differing
from lth.training import checkpoint as callbacks
from lth.training.callbacks import Reseed
from lth.tree import checkpoint
from lth.tree.checkpoint import Checkpoint, Progress
from tests.training import final, held, run

PER_EPOCH = 7  # optimiser steps of an epoch of the test images


def test_the_rewind_checkpoint_after_an_epoch_is_what_a_training_of_one_epoch_ends_with(make_config, tmp_path):
    records = run(make_config(rounds=2, epochs=3, model="simple_cnn"), prune__rewind="1ep")
    [one] = run(make_config(outputs=tmp_path / "short", rounds=0, epochs=1, model="simple_cnn"))
    for record in records[1:]:
        assert not differing(load_ticket(record.folder).rewind, final(one))
        assert record.begin_iteration == PER_EPOCH
        assert record.iterations == 3 * PER_EPOCH, "it ends where the dense network's schedule does"
        assert record.checks["start"]["optimiser_states"] > 0


@pytest.mark.parametrize(("at", "optim"), [("5it", "adam"), ("7it", "sgd"), ("1ep", "adam"), ("10it", "adamw"), ("2ep", "sgd")])
def test_going_on_from_a_rewind_checkpoint_is_as_if_there_had_been_no_stop(make_config, at, optim, monkeypatch):
    """Nothing pruned: round 1 repeats the rest of round 0 to the bit, weights, moments, schedule, data, augmentation, dropout."""
    monkeypatch.setattr("lth.pruning.allocation.kept_after", lambda kept, rate, rounds: kept)
    monkeypatch.setattr("lth.training.start.require_weights", lambda task: None)  # it refuses to prune nothing
    config = make_config(rounds=1, epochs=3, model="simple_cnn", augment="flip")
    records = run(config, prune__rewind=at, optim__name=optim, optim__schedule="cosine", optim__warmup=3)
    assert records[1].density == 1
    assert records[1].begin_iteration == int(at[:-2]) * (PER_EPOCH if at.endswith("ep") else 1)
    assert not differing(final(records[0]), final(records[1]))


@pytest.mark.parametrize("rewind", ["5it", "1ep"])
def test_a_rewind_checkpoint_that_is_missing_or_damaged_is_computed_again_to_the_same_bits(make_config, tmp_path, rewind):
    first = run(make_config(outputs=tmp_path / "a", rounds=1, epochs=2), prune__rewind=rewind)
    run(make_config(outputs=tmp_path / "b", rounds=0, epochs=2))
    assert not list((tmp_path / "b").glob("checkpoints/*"))
    second = run(make_config(outputs=tmp_path / "b", rounds=1, epochs=2), prune__rewind=rewind)
    assert [r.key for r in first] == [r.key for r in second]
    (a,), (b,) = (list((tmp_path / x).glob("checkpoints/*.safetensors")) for x in "ab")
    whole = a.read_bytes()
    assert b.read_bytes() == whole
    assert not differing(final(first[1]), final(second[1]))
    a.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    assert len(run(make_config(outputs=tmp_path / "a", rounds=2, epochs=2), prune__rewind=rewind)) == 3
    assert a.read_bytes() == whole


def test_rewinding_the_learning_rate_keeps_the_trained_weights(make_config):
    records = run(make_config(rounds=2, epochs=2), prune__retrain="lr", optim__schedule="cosine")
    for before, record in pairwise(records):
        assert not differing(load_ticket(record.folder).rewind, final(before))
        assert record.checks["start"] == {"holds": True, "differing": [], "optimiser_states": 0, "lr": 0.001}
    assert held(records)


def test_fine_tuning_goes_on_at_the_last_rate(make_config):
    records = run(make_config(rounds=1, epochs=3), prune__retrain="finetune", optim__warmup=2)
    assert not differing(load_ticket(records[1].folder).rewind, final(records[0]))
    assert records[0].checks["start"]["lr"] == pytest.approx(0.001 / 3), "the warm-up's first"
    assert records[1].checks["start"]["lr"] == 0.001
    late = run(make_config(rounds=1, epochs=3), prune__retrain="finetune", optim__warmup=2, prune__rewind="1it")
    assert late[1].checks["start"]["lr"] == 0.001, "not the rewind checkpoint's"
    with pytest.raises(UsageError, match=r"prune.retrain=finetune is not accepted with optim.schedule=cosine"):
        run(make_config(rounds=1, epochs=50), prune__retrain="finetune", optim__schedule="cosine")


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
    for part in ("state", "moments", "generators", "scaler"):
        assert not differing(getattr(read, part), getattr(saved, part)), part
    assert not differing(read.progress.weights[3] | read.progress.sums, progress.weights[3] | progress.sums)
    plain = ("rows", "observed", "seconds", "sessions")
    assert [getattr(read.progress, name) for name in plain] == [getattr(progress, name) for name in plain]


class Generator:
    """Stands for a GPU's."""

    state = torch.arange(16, dtype=torch.uint8)

    def get_rng_state(self):
        return self.state

    def set_rng_state(self, state):
        self.state = state


class Parts:
    """The parts of a Trainer and a LightningModule that a checkpoint takes."""

    def __init__(self, scale: float) -> None:
        self.precision_plugin = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=scale))
        self.lr_scheduler_configs, self.optimizers, self.device = [], [], torch.device("cuda")
        self.global_step = self.current_epoch = self.global_rank = 1

    def get_submodule(self, target: str) -> torch.nn.Module:
        return torch.nn.Identity()


def test_the_gpus_generator_and_the_loss_scaler_are_saved_and_set_again(monkeypatch):
    gpu, before, after = Generator(), Parts(64.0), Parts(2.0)
    monkeypatch.setattr(torch, "get_device_module", lambda kind: gpu)
    scaler = before.precision_plugin.scaler
    scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**40, "_growth_tracker": 7})
    saved = callbacks.capture(before, before, "", 1, epoch_ended=False)
    gpu.state, drawn = torch.zeros(16, dtype=torch.uint8), torch.rand(3)
    callbacks.Restore(saved, "", exactly=False).on_train_start(after, after)
    Reseed(0, saved.generators).on_train_epoch_start(after, after)
    assert gpu.state.equal(Generator.state)
    assert torch.rand(3).equal(drawn)
    assert after.precision_plugin.scaler.state_dict() == scaler.state_dict()
    assert after.precision_plugin.scaler.get_scale() == 2.0**40


def test_pruned_weights_have_no_moments():
    moments = {"w/exp_avg": torch.ones(3), "w/step": torch.tensor(5.0), "b/exp_avg": torch.ones(3)}
    masked = checkpoint.masked(moments, {"w": torch.tensor([True, False, True])})
    assert {name: t.tolist() for name, t in masked.items()} == {"w/exp_avg": [1, 0, 1], "w/step": 5, "b/exp_avg": [1, 1, 1]}
