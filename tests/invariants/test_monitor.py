"""Each invariant of a round, broken on purpose."""

import copy

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from lth.errors import InvariantError
from lth.invariants import monitor as proof
from lth.models import lenet_300_100
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training.search import search
from lth.training.start import Maker


def holds(entry) -> bool:
    return entry["holds"]


MASKS = {"w": torch.tensor([True, True, False])}


def test_exact_count():
    assert holds(proof.exact_count(MASKS, 2))
    assert not holds(proof.exact_count(MASKS, 1))


def test_nested():
    assert holds(proof.nested(MASKS, None))
    assert holds(proof.nested(MASKS, {"w": torch.tensor([True, True, True])}))
    assert not holds(proof.nested(MASKS, {"w": torch.tensor([True, False, True])}))


def test_start():
    start = {"w": torch.tensor([1.0, 0.0]), "running_mean": torch.zeros(2)}
    assert holds(proof.started(start, copy.deepcopy(start), {}, {}, 0.1, 0.1))
    for other in ({"w": torch.tensor([1.0, -0.0])}, {"running_mean": torch.ones(2)}):
        assert not holds(proof.started(start | other, start, {}, {}, 0.1, 0.1))
    assert not holds(proof.started({"w": start["w"]}, start, {}, {}, 0.1, 0.1))
    assert not holds(proof.started(start, start, {"w/exp_avg": torch.ones(3)}, {}, 0.1, 0.1))
    assert not holds(proof.started(start, start, {}, {}, 0.05, 0.1))


def test_zeros():
    start = {"w": torch.tensor([1.0, -1.0, 0.0])}
    final = {"w": torch.tensor([1.5, -1.5, 0.0])}
    assert holds(proof.zeros([0, 0], final, start, MASKS, {"w"}))
    assert not holds(proof.zeros([0, 1], final, start, MASKS, {"w"}))
    assert not holds(proof.zeros([0], {"w": torch.tensor([1.5, -1.5, 1e-9])}, start, MASKS, {"w"}))
    many = {"w": torch.randn(5000)}
    kept = {"w": torch.ones(5000, dtype=torch.bool)}
    assert holds(proof.zeros([0], {"w": many["w"] + 1}, many, kept, {"w"}))
    assert not holds(proof.zeros([0], {"w": many["w"] + (many["w"] > 0)}, many, kept, {"w"})), "negative weights frozen"
    dead = {"w": many["w"].where(torch.arange(5000) > 0, 2.0)}
    assert holds(proof.zeros([0], dead, many, kept, {"w"})), "hardly any weight moved, of either sign"


def untouched(net, fresh, masks, moved=None):
    state = net.state_dict()
    return proof.untouched(net, fresh, masks, M.prunable(net), state | (moved or {}), state)


def test_untouched():
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.BatchNorm2d(4), nn.Linear(2, 2))
    net[2].requires_grad_(False)
    fresh = proof.shapes(net)
    assert holds(untouched(net, fresh, {"0.weight": torch.ones(4, 2, 3, 3, dtype=torch.bool)}))
    for name in ("0.bias", "1.weight", "2.weight"):
        assert not holds(untouched(net, fresh, {name: torch.ones(4, dtype=torch.bool)}))
    assert not holds(untouched(net, fresh, {}, {"2.weight": torch.ones(2, 2)})), "a frozen weight moved"
    net[0].groups = 1
    assert not holds(untouched(net, fresh, {}))
    parametrised = nn.Sequential(nn.Linear(2, 2))
    fresh = proof.shapes(parametrised)
    nn.utils.prune.identity(parametrised[0], "weight")
    assert not holds(untouched(parametrised, fresh, {}))


def test_layer_collapse_is_said_but_allowed():
    net = lenet_300_100.network(3, 8)
    params = dict(net.named_parameters())
    masks = M.dense({n: params[n] for n in M.prunable(net)})
    masks["fc2.0.weight"][:] = False
    entry = proof.collapse(net, masks, (3, 8, 8))
    assert entry == {"holds": True, "collapsed": ["fc2.0.weight"], "effective_density": 0.0}


def test_the_first_broken_invariant_is_named():
    with pytest.raises(InvariantError, match="broke the invariant 'nested'"):
        proof.require({"exact_count": {"holds": True}, "nested": {"holds": False, "regrown": 3}})


def broken(monkeypatch, make_config, where, name, replacement, invariant, tmp_path):
    """A search in which one part is sabotaged fails at that invariant, and the round is not finished."""
    search(make_config(rounds=0), say=lambda line: None)
    monkeypatch.setattr(where, name, replacement)
    with pytest.raises(InvariantError, match=f"'{invariant}'"):
        search(make_config(rounds=1), say=lambda line: None)
    assert len(list((tmp_path / "outputs" / "rounds").glob("*/round.json"))) == 1


def test_a_mask_with_one_weight_too_many_is_caught(monkeypatch, make_config, tmp_path):
    real = M.keep_top
    broken(monkeypatch, make_config, M, "keep_top", lambda s, m, keep: real(s, m, keep + 1), "exact_count", tmp_path)


def test_a_rewind_to_trained_weights_is_caught(monkeypatch, make_config, tmp_path):
    def forget(network, state, masks):
        for name, mask in masks.items():
            network.get_parameter(name).data.mul_(mask)

    broken(monkeypatch, make_config, M, "rewind_", forget, "start", tmp_path)


def test_weights_that_come_back_are_caught(monkeypatch, make_config, tmp_path):
    class Noise(LotteryTicket):
        def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
            with torch.no_grad():
                module.net.head.weight += 0.01

    from lth.training import fit

    broken(monkeypatch, make_config, fit, "LotteryTicket", Noise, "zeros", tmp_path)


def test_a_saved_init_that_shares_storage_with_the_live_weights_is_caught(monkeypatch, make_config, tmp_path):
    real = Maker.make

    def aliased(self, spec):
        attempt = real(self, spec)
        for name, t in self.model.net.state_dict().items():
            attempt.ticket.rewind[name] = t.copy_(attempt.ticket.rewind[name])
        return attempt

    broken(monkeypatch, make_config, Maker, "make", aliased, "init_unchanged", tmp_path)


def test_negative_weights_that_are_frozen_are_caught(monkeypatch, make_config, tmp_path):
    """The bug of `tensor < EPS`, signed."""

    class Signed(LotteryTicket):
        def on_before_optimizer_step(self, trainer, module, optimizer):
            super().on_before_optimizer_step(trainer, module, optimizer)
            for p in self._hold.params:
                p.grad[p.data < 1e-6] = 0

    from lth.training import fit

    broken(monkeypatch, make_config, fit, "LotteryTicket", Signed, "zeros", tmp_path)
