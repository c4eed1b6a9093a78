"""Rounds that train channel tickets without their pruned channels give what masked rounds give."""

import copy

import pytest
import torch
from torch import nn

from lth.data.module import ImageData
from lth.errors import UsageError
from lth.invariants.verify import verify
from lth.pruning import channels as C
from lth.pruning import masks as M
from lth.pruning.coupling import coupled
from lth.pruning.slicing import places
from lth.pruning.slicing import take as slices
from lth.training import images as tasks
from lth.training.small import put, take
from lth.tree.spec import chain
from lth.tree.ticket import load_masks
from tests.export.networks import images, network
from tests.training import final, held, run

pytest.importorskip("torch_pruning", reason="channels need torch-pruning")
REAL = ("simple_cnn", "resnet20", "densenet121", "efficientnet_lite0", "own")


def _ticket(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, list[C.Group], C.Keep, M.Masks]:
    net = network(name).to(dtype)
    groups, _ = coupled(net, images(1).to(dtype))
    keep = [torch.arange(group.channels) % 3 > 0 for group in groups]
    weights = {n: net.get_parameter(n) for n in M.prunable(net)}
    masks = C.masks(groups, keep, M.dense(weights))
    M.rewind_(net, net.state_dict(), masks)
    return net, groups, keep, masks


@pytest.mark.parametrize("name", REAL)
def test_what_is_taken_out_of_a_state_and_put_back_is_the_state(name: str) -> None:
    net, groups, keep, masks = _ticket(name)
    full, at = net.state_dict(), places(net, groups, keep)
    small = take(full, at)
    expected = slices(copy.deepcopy(net), groups, keep).state_dict()
    assert all(torch.equal(small[n], t) for n, t in expected.items())
    assert list(small) == list(expected)
    assert all(torch.equal(t, full[n]) for n, t in put(small, full, at).items())
    assert all(m.all() for m in take(masks, at).values()), "what is trained is dense"
    kept = put({n: t.new_ones(t.shape) for n, t in small.items()}, {n: torch.zeros_like(t) for n, t in full.items()}, at)
    assert all(torch.equal(kept[n] != 0, mask) for n, mask in masks.items()), "and it is all that the masks keep"


@pytest.fixture
def exact(monkeypatch):
    """Trainings in float64 without dropout, whose draws depend on the number of channels."""
    to_float, build = ImageData.to_float, tasks.build

    def double(*args):
        made = build(*args)
        made.net.double()
        return made

    monkeypatch.setattr(tasks, "build", double)
    monkeypatch.setattr(ImageData, "to_float", lambda self, pixels: to_float(self, pixels).double())


@pytest.mark.parametrize(
    ("model", "optim", "rewind", "retrain", "finetune"),
    [("conv2", "adam", "3it", "rewind", "all"), ("resnet20", "sgd", "init", "lr", "head+layer2+layer3")],
)
def test_a_small_round_is_the_masked_one(make_config, tmp_path, exact, model, optim, rewind, retrain, finetune) -> None:
    """In float64, kept weights after two rounds agree to 1e-8 of each tensor's largest; masks and scores are the same."""

    def made(small: bool):
        config = make_config(tmp_path / str(small), model=model, rate=0.3, epochs=1, finetune=finetune)
        config.optim.name, config.optim.clip = optim, 1.0
        step = {"structure": "channels", "allocation": "layerwise", "rewind": rewind, "retrain": retrain}
        step |= {"controls": "reinit", "control_rounds": "1"}
        return run(config, **{f"prune__{name}": value for name, value in step.items()}, prune__small=small)

    masked, small = made(False), made(True)
    assert held(small)
    for one, other in zip(masked, small, strict=True):
        assert (one.key == other.key) == (one.round == 0)
        masks, weights = load_masks(other.folder), final(other)
        assert all(map(torch.equal, load_masks(one.folder).values(), masks.values()))
        assert M.revived(weights, masks) == 0
        for name, t in final(one).items():
            if name in masks:
                assert (t - weights[name]).abs().max() <= 1e-8 * t.abs().max(), name
        same = ("test_acc", "early_stop_iteration", "kept", "flops_remaining", "effective_density", "parameters")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
        assert one.checks["ranks"] == other.checks["ranks"]
    assert verify(tmp_path / "True", say=lambda line: None) == 0


def test_it_is_in_the_key_of_channel_tickets_alone(make_config) -> None:
    def keys(**step):
        config = make_config(rounds=1)
        for name, value in step.items():
            setattr(config.prune, name, value)
        return [spec.key for spec in chain(config, "images", "32-true")]

    whole, small = keys(structure="channels"), keys(structure="channels", small=True)
    assert whole == keys(structure="channels", small=False)
    assert (whole[0], whole[1] != small[1]) == (small[0], True)
    assert keys(small=True) == keys()


def test_several_devices_are_refused(make_config) -> None:
    config = make_config()
    with pytest.raises(UsageError, match=r"prune\.small=True is not accepted: it takes false with several trainer\.devices"):
        type(config)(prune=type(config.prune)(structure="channels", small=True), trainer=type(config.trainer)(devices=2))
