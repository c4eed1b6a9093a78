"""An optimiser over the kept weights gives the bits of one over all of them, whatever the kind, the mask and the layout."""

import platform

import pytest
import torch
from torch import Tensor, nn

from lth.models import survivors
from lth.models.survivors import VECTOR, over_survivors, places

KINDS = {
    "adam": (torch.optim.Adam, {"weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.01}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    "plain sgd": (torch.optim.SGD, {}),
}
SHAPES = {"less than a vector": (7, 1), "vectors": (16, 8), "vectors and a rest": (31, 33), "convolution": (9, 5, 3, 3)}


@pytest.fixture(autouse=True)
def _always_faster(monkeypatch):
    monkeypatch.setattr(survivors, "faster", lambda p, mask: True)


class Pair:
    """The same masked weights under an optimiser over all of them and under one over the kept ones."""

    def __init__(self, kind: str, shape: tuple[int, ...], density: float) -> None:
        self.draws = torch.Generator().manual_seed(0)
        self.multiplier = (torch.rand(shape, generator=self.draws) < density).float()
        start, made = self.random().where(self.multiplier > 0, 0), []
        if start.dim() == 4:
            start, self.multiplier = (t.contiguous(memory_format=torch.channels_last) for t in (start, self.multiplier))
        for wrap in (lambda kind: kind, over_survivors):
            p = nn.Parameter(start.clone())
            made.append((p, wrap(KINDS[kind][0])([p], lr=0.1, fused=True, **KINDS[kind][1])))
        (self.p, self.all), (self.q, self.kept) = made
        self.kept.keep([(self.q, self.multiplier)])

    def random(self) -> Tensor:
        return torch.randn(self.multiplier.shape, generator=self.draws)

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            gradient = self.random()
            self.p.grad, self.q.grad = gradient * self.multiplier, gradient  # of another layout than a convolution's weights
            if self.p.dim() == 4:
                self.p.grad = self.p.grad.contiguous(memory_format=torch.channels_last)
            self.all.step()
            self.kept.step()

    def same(self) -> bool:
        states = [optimizer.state_dict()["state"].get(0, {}) for optimizer in (self.all, self.kept)]
        moments = all(t.equal(states[1][name]) and t.stride() == states[1][name].stride() for name, t in states[0].items())
        return moments and torch.equal(self.p.view(torch.int32), self.q.view(torch.int32))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("density", [0.0, 0.1, 0.5])
def test_weights_and_moments_have_the_same_bits(kind, shape, density):
    pair = Pair(kind, shape, density)
    pair.step(20)
    assert pair.same()
    assert not pair.q[pair.multiplier == 0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_either_goes_on_in_the_other(kind):
    pair = Pair(kind, SHAPES["convolution"], 0.2)
    pair.step(3)
    states = [optimizer.state_dict() for optimizer in (pair.all, pair.kept)]
    pair.all.load_state_dict(states[1])
    pair.kept.load_state_dict(states[0])
    pair.step(3)
    assert pair.same()


def test_masks_may_become_sparser_and_what_is_pruned_has_no_moments():
    pair = Pair("adam", SHAPES["convolution"], 0.5)
    pair.step(3)
    pair.multiplier = pair.multiplier * (pair.random() > 0)
    for p, optimizer in ((pair.p, pair.all), (pair.q, pair.kept)):
        p.data.masked_fill_(pair.multiplier == 0, 0)
        for name in ("exp_avg", "exp_avg_sq"):
            value = optimizer.state[p][name]
            optimizer.state[p][name] = value * pair.multiplier if value.shape == p.shape else value
    pair.kept.keep([(pair.q, torch.empty_like(pair.q.data).copy_(pair.multiplier))])
    pair.step(3)
    assert pair.same()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="where the last numbers of a tensor are rounded otherwise")
def test_without_their_places_the_last_weights_would_differ_in_a_last_bit(monkeypatch):
    monkeypatch.setattr(survivors, "VECTOR", 1)
    pair = Pair("sgd", SHAPES["vectors and a rest"], 0.5)
    pair.step(20)
    differing = (pair.p != pair.q).flatten().nonzero()[:, 0]
    assert len(differing)
    assert torch.allclose(pair.p, pair.q, rtol=0, atol=1e-5)
    assert not pair.same()


def test_the_last_weights_stay_last_and_pruned_ones_fill_up_vectors():
    mask = torch.zeros(3 * VECTOR + 5)
    mask[[1, 70, 193]] = 1
    found = places(mask)
    assert found.index.tolist()[:2] == [1, 70]
    assert found.index.tolist()[-5:] == list(range(3 * VECTOR, 3 * VECTOR + 5))
    assert len(found.index) == len(set(found.index.tolist())) == VECTOR + 5
    assert found.kept.nonzero()[:, 0].tolist() == [0, 1, VECTOR + 1]


def test_parameters_are_whole_again_also_where_a_step_fails(monkeypatch):
    pair = Pair("adam", SHAPES["convolution"], 0.2)
    pair.step()
    before, gradient = pair.q.data, pair.q.grad
    bits = before.clone()

    def fail(*_, **__):
        raise RuntimeError("no step")

    monkeypatch.setattr(torch.optim.Adam, "_init_group", fail)
    with pytest.raises(RuntimeError, match="no step"):
        pair.kept.step()
    assert (pair.q.data.data_ptr(), pair.q.grad is gradient) == (before.data_ptr(), True)
    assert pair.q.equal(bits)


def test_hooks_run_once_and_the_closure_has_gradients():
    pair, calls = Pair("adam", SHAPES["vectors"], 0.2), []
    torch.optim.Adam([nn.Parameter(torch.zeros(1))])  # torch wraps the step of a kind where it makes one
    pair.kept.register_step_post_hook(lambda *_: calls.append(pair.q.shape))

    def closure() -> Tensor:
        pair.kept.zero_grad()
        loss = (pair.q * pair.random()).sum()
        loss.backward()
        return loss

    with torch.no_grad():
        loss = pair.kept.step(closure)
    assert calls == [pair.q.shape]
    assert loss.requires_grad


def test_large_and_sparse_layers_on_a_cpu_alone(monkeypatch):
    monkeypatch.undo()
    weights = torch.zeros(survivors.SIZE)
    mask = torch.zeros_like(weights)
    assert survivors.faster(weights, mask)
    mask[: int(survivors.DENSITY * survivors.SIZE)] = 1
    assert survivors.faster(weights, mask)
    mask[-1] = 1
    assert not survivors.faster(weights, mask)
    assert not survivors.faster(weights[1:], mask[1:].zero_())
    assert not survivors.faster(weights.to("meta"), mask)
