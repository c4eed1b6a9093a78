"""Scores and the masks that come of them; exact numbers wherever a hand can compute them."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lth.pruning import criteria
from lth.pruning import masks as M
from lth.pruning.allocation import keeps, total
from tests.pruning.scoring import batch, dense, scorers, small

NAMES = list(scorers(nn.Identity()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("allocation", ["global", "layerwise", "erk"])
def test_three_rounds_keep_exact_numbers_and_are_nested(name, allocation):
    net = small()
    score, masks = scorers(net)[name], dense(net)
    for _ in range(3):
        keep = keeps(masks, 0.37, allocation=allocation)
        child = M.keep_top(score(masks), masks, keep)
        assert M.kept(child) == total(keep)
        assert M.regrown(child, masks) == 0
        if allocation != "global":
            assert {n: int(m.sum()) for n, m in child.items()} == keep
        masks = child


def test_random_is_its_seeds_alone_and_has_no_favourites():
    masks = {"a": torch.ones(200, 300, dtype=torch.bool), "b": torch.ones(40, dtype=torch.bool)}
    one, again, other = (criteria.random(masks, seed) for seed in (5, 5, 6))
    assert all(torch.equal(one[n], again[n]) for n in masks)
    assert not torch.equal(one["a"], other["a"])
    assert one["a"].unique().numel() == 60000  # float32 has 16.8 million values in [0, 1): about 100 ties here
    half = M.keep_top(one, masks, 30020)["a"]
    assert half[:100].float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(criteria.random({"a": half}, 5)["a"], one["a"])  # the same draws, whatever is pruned


def linear() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    net = nn.Sequential(nn.Linear(2, 2, bias=False))
    net[0].weight.data = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    return net, torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.tensor([0, 1])


def test_snip_is_the_gradient_times_the_weight_by_hand():
    net, x, y = linear()
    masks = dense(net)
    masks["0.weight"][0, 1] = False
    w = net[0].weight.detach() * masks["0.weight"]
    by_hand = (w * (((x @ w.T).softmax(1) - F.one_hot(y)).T @ x) / 2).abs()
    got = criteria.snip(net, masks, x, y)["0.weight"]
    torch.testing.assert_close(got, by_hand)
    assert got[0, 1] == 0
    assert (got[masks["0.weight"]] > 0.01).all()


def test_grasp_is_a_finite_difference_of_gradients_along_the_gradient():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    masks = dense(net)
    masks["0.weight"][1, 2] = masks["2.weight"][0, 0] = False

    def gradient(weights):
        weights = {n: w.clone().requires_grad_() for n, w in weights.items()}
        loss = F.cross_entropy(torch.func.functional_call(net, weights, (x,)) / 7, y)
        return dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))

    start = {n: p.detach() * masks[n] for n, p in net.named_parameters() if n in masks}
    g = {n: grad * masks[n] for n, grad in gradient(start).items()}
    ahead, behind = (gradient({n: start[n] + step * g[n] for n in g}) for step in (1e-3, -1e-3))
    got = criteria.grasp(net, masks, x, y, temperature=7)
    for n in masks:
        torch.testing.assert_close(got[n], start[n] * (ahead[n] - behind[n]) / 2e-3, rtol=1e-5, atol=1e-10)
    assert any((got[n] < 0).any() for n in masks)
    assert any((got[n] > 0).any() for n in masks)


def test_grasp_ranks_the_same_at_the_temperature_of_its_paper_but_not_at_one():
    net, masks = small(), dense(small())
    default, paper, one = (criteria.grasp(net, masks, *batch(), **t) for t in ({}, {"temperature": 200}, {"temperature": 1}))
    assert torch.equal(default["0.weight"], paper["0.weight"])
    ratio = one["0.weight"] / paper["0.weight"]
    assert (ratio > 0).float().mean() > 0.5
    assert not torch.allclose(ratio, torch.full_like(ratio, 200.0**2), rtol=0.05)


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Hardswish, nn.Mish, nn.CELU, nn.SELU, nn.Hardsigmoid]
)
def test_in_place_activations_score_as_others_do(activation):
    pairs = []
    for inplace in (True, False):
        net = small()
        net[2], net[5] = activation(inplace=inplace), activation(inplace=inplace)
        score = scorers(net)
        pairs.append({name: score[name](dense(net)) for name in ("snip", "grasp", "synflow")})
    for name, weight in itertools.product(pairs[0], dense(small())):
        torch.testing.assert_close(pairs[0][name][weight], pairs[1][name][weight])
        assert pairs[0][name][weight].count_nonzero() > 0


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.mix, self.out = nn.Linear(3, 3), nn.MultiheadAttention(3, 1, batch_first=True), nn.Linear(3, 5)

    def forward(self, x):
        x = self.into(x.flatten(2).transpose(1, 2))
        return self.out(self.mix(x, x, x, need_weights=False)[0].mean(1))


def test_grasp_goes_through_attention():
    torch.manual_seed(0)
    net, (images, labels) = Attention(), batch()
    assert criteria.grasp(net, dense(net), images, labels)["into.weight"].count_nonzero() == 9


def test_bad_input_is_refused_in_a_sentence():
    net, (images, labels) = small(), batch()
    masks = dense(net)
    with pytest.raises(ValueError, match="6 images and 4 labels"):
        criteria.snip(net, masks, images, labels[:4])
    with pytest.raises(ValueError, match="temperature=0"):
        criteria.grasp(net, masks, images, labels, temperature=0)
    with pytest.raises(ValueError, match="no parameter conv of shape"):
        criteria.synflow(net, {"conv": torch.ones(3, dtype=torch.bool)}, (3, 8, 8))
    with pytest.raises(ValueError, match=r"no parameter 0.weight of shape \(8, 3\)"):
        criteria.snip(net, {"0.weight": torch.ones(8, 3, dtype=torch.bool)}, images, labels)
    with pytest.raises(ValueError, match="steps=0"):
        criteria.exponential(scorers(net)["equal"], masks, 10, steps=0)
    for impossible in (1001, -1, {"0.weight": 3}):
        with pytest.raises(ValueError, match=r"cannot keep|one number for each"):
            criteria.exponential(scorers(net)["equal"], masks, impossible, steps=3)
    deep = nn.Sequential(*[nn.Linear(3, 3) for _ in range(10)])
    for p in deep.parameters():
        p.data.fill_(1e38)
    with pytest.raises(ValueError, match="large weights"):
        criteria.synflow(deep, dense(deep), (3,))
