"""The end points of a round, and what a sweeper is given."""

import csv
from dataclasses import replace
from pathlib import Path

import torch

from lth.config import Config, Prune
from lth.models.build import build
from lth.training import fit as fits
from lth.training.callbacks import History
from lth.training.search import score, search
from lth.training.state import generators, scaler, set_generators, set_scaler
from lth.training.task import Names
from lth.tree.record import Record


def rows(config: Config, record: Record) -> list[dict[str, str]]:
    path = Path(config.outputs) / "rounds" / record.name / "metrics.csv"
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_accuracy_at_early_stop_is_that_of_the_weights_of_least_validation_loss(make_config, tmp_path):
    """Training is the same up to there, so a training that ends there has that test accuracy as its last one."""
    config = make_config(rounds=0, epochs=5)
    config.optim.lr = 0.02  # such that the loss rises again
    [record] = search(config, say=lambda line: None)
    told = rows(config, record)
    least = min(range(5), key=lambda k: float(told[k]["val_loss"]))
    assert 0 < least < 4, "else the test shows nothing"
    assert (record.early_stop_epoch, record.early_stop_iteration) == (least + 1, int(told[least]["iteration"]))
    assert str(record.early_stop_val_loss) == told[least]["val_loss"]
    assert record.censored is False
    short = make_config(outputs=tmp_path / "short", rounds=0, epochs=least + 1)
    short.optim.lr = 0.02
    [ends_there] = search(short, say=lambda line: None)
    assert ends_there.test_acc == record.early_stop_test_acc == ends_there.early_stop_test_acc
    assert ends_there.censored is True


def test_the_weights_of_both_ends_are_kept_until_others_take_their_place():
    history, network = History("", Names(), 1.0), build(Config(), 3).net
    seen = []
    for iteration, (loss, acc) in enumerate([(1.0, 0.5), (0.8, 0.4), (0.9, 0.6), (0.9, 0.6)], 1):
        history.rows.append({"iteration": iteration, "val_loss": loss, "val_acc": acc})
        history._copy_weights(network)
        seen.append(sorted(history.weights))
    assert seen == [[1], [1, 2], [2, 3], [2, 3]], "of equal scores the first"


def test_the_test_images_are_scored_once_for_each_end(make_config, monkeypatch):
    scored = []
    score_once = fits._score
    monkeypatch.setattr(fits, "_score", lambda *args: scored.append(score_once(*args)) or scored[-1])
    [record] = search(make_config(rounds=0, epochs=3), say=lambda line: None)
    ends = {record.early_stop_iteration, record.best_iteration, record.iterations}
    assert len(scored) == len(ends)
    assert scored[-1] == record.test_acc


def test_a_sweeper_is_given_the_last_ticket_not_a_control(make_config):
    config = make_config(rounds=1)
    config.prune.controls = "all"
    records = search(config, say=lambda line: None)
    assert records[-1].epochs == 4
    assert records[-1].control is None, "the compute-matched dense network comes last"
    records[-1] = replace(records[-1], early_stop_val_acc=2.0)
    assert score(config, records) == records[1].early_stop_val_acc
    shot = Config(prune=Prune(schedule="one_shot", rounds=6))
    assert score(shot, records) == records[1].early_stop_val_acc


def test_generators_of_the_device_are_saved_and_set_again(monkeypatch):
    class Device:
        state = torch.arange(16, dtype=torch.uint8)

        def get_rng_state(self):
            return self.state

        def set_rng_state(self, state):
            self.state = state

    device = Device()
    monkeypatch.setattr(torch, "get_device_module", lambda kind: device)
    saved = generators(torch.device("cuda"))
    assert set(saved) == {"cpu", "cuda"}
    device.state, drawn = torch.zeros(16, dtype=torch.uint8), torch.rand(3)
    set_generators(saved)
    assert torch.equal(device.state, torch.arange(16, dtype=torch.uint8))
    assert torch.equal(torch.rand(3), drawn)
    assert set(generators(torch.device("cpu"))) == {"cpu"}


def test_the_loss_scaler_is_saved_and_set_again():
    from pytorch_lightning.plugins import MixedPrecision

    precision, other = (MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=s)) for s in (64.0, 2.0))
    precision.scaler.load_state_dict(precision.scaler.state_dict() | {"scale": 2.0**40, "_growth_tracker": 7})
    saved = scaler(precision)
    assert all(tensor.dim() == 0 for tensor in saved.values())
    set_scaler(other, saved)
    assert other.scaler.state_dict() == precision.scaler.state_dict()
    assert other.scaler.get_scale() == 2.0**40
    assert scaler(object()) == {}, "fp32 has none"
