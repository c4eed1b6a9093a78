"""Synaptic flow: conserved, never collapsing; and the iterative schedule that it is meant for."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from lth.errors import NumberError
from lth.models import efficientnet_lite0
from lth.pruning import criteria
from lth.pruning import masks as M
from lth.pruning.allocation import total
from tests.pruning.scoring import dense, scorers, small


def chain() -> nn.Sequential:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.GELU(), nn.Conv2d(6, 12, 3, stride=2, groups=3, bias=False),
        nn.ReLU6(inplace=True), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 9), nn.Hardswish(inplace=True), nn.Linear(9, 4),
    )  # fmt: skip


def test_synflow_is_conserved_from_layer_to_layer():
    net = chain()
    net[1].running_mean.fill_(3.0)
    net[1].running_var.uniform_(0.5, 2)
    net[1].weight.data.uniform_(-2, 2)
    net[1].bias.data.fill_(-5.0)
    scores = criteria.synflow(net, dense(net), (3, 7, 7))
    sums = torch.stack([s.sum() for s in scores.values()])
    assert sums.dtype == torch.float64
    torch.testing.assert_close(sums, sums[:1].expand(4), rtol=1e-12, atol=0)
    net[0].weight.data.mul_(1024)  # a ReLU6 that clipped would hold it down
    assert sum(s.sum() for s in criteria.synflow(net, dense(net), (3, 7, 7)).values()) == pytest.approx(1024 * sums.sum())
    masks = M.keep_top(scores, dense(net), 100)
    sums = torch.stack([s.sum() for s in criteria.synflow(net, masks, (3, 7, 7)).values()])
    torch.testing.assert_close(sums, sums[:1].expand(4), rtol=1e-12, atol=0)


def test_synflow_by_hand_with_the_scale_of_batch_norm():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, eps=0), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    net[0].weight.data = torch.tensor([-2.0, 3.0]).view(2, 1, 1, 1)
    net[1].weight.data, net[1].running_var = torch.tensor([-0.5, 1.0]), torch.tensor([4.0, 1.0])
    net[4].weight.data = torch.tensor([[7.0, -11.0]])
    scores = criteria.synflow(net, dense(net), (1, 1, 1))
    assert scores["0.weight"].flatten().tolist() == scores["4.weight"].flatten().tolist() == [2 * 0.25 * 7, 33.0]


def deep(layers: int = 8, width: int = 100) -> tuple[nn.Sequential, M.Masks]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU())
    for _ in range(layers):
        net += nn.Sequential(nn.Linear(width, width), nn.ReLU())
    net.append(nn.Linear(width, 3))
    for i in (7, 9):  # two layers of smaller weights, as wide layers have
        net[i].weight.data.mul_(0.05)
    return net, dense(net)


def test_iterative_synflow_collapses_no_layer_where_magnitude_and_a_single_step_do():
    net, masks = deep()
    keep = M.kept_after(M.size(masks), 0.999)
    score = partial(criteria.synflow, net, input_shape=(1, 4, 4))
    iterative = criteria.exponential(lambda m: score(masks=m), masks, keep)
    assert M.kept(iterative) == keep == 82
    assert min(M.per_layer(iterative).values()) > 0
    assert criteria.synflow(net, iterative, (1, 4, 4))["1.weight"].sum() > 0  # and a path runs through them
    magnitude = M.keep_top(criteria.magnitude(dict(net.named_parameters()), masks), masks, keep)
    once = M.keep_top(score(masks=masks), masks, keep)
    assert min(M.per_layer(magnitude).values()) == 0
    assert min(M.per_layer(once).values()) == 0


def test_a_deep_networks_flow_past_float32_is_ranked():
    net, masks = deep(layers=24)
    for p in net.parameters():
        p.data.mul_(0.001)
    scores = criteria.synflow(net, masks, (1, 4, 4))
    assert 0 < max(s.max() for s in scores.values()) < 1e-46  # float32 ends at 1.4e-45
    kept = M.keep_top(scores, masks, 1000)
    ranked = torch.cat([s.flatten() for s in scores.values()]).sort(descending=True).values
    assert min(scores[n][m].min() for n, m in kept.items() if m.any()) == ranked[999]


@pytest.mark.parametrize("keep", [100, 0, {"0.weight": 20, "3.weight": 0, "8.weight": 33}])
def test_exponential_prunes_by_a_constant_factor_and_ends_exactly(keep):
    net, seen = small(), []
    masks = dense(net)

    def score(masks):
        seen.append(masks)
        return scorers(net)["equal"](masks)

    last = criteria.exponential(score, masks, keep, steps=5)
    assert M.kept(last) == total(keep)
    counts = [M.kept(m) for m in [*seen, last]]
    assert counts[0] == 1000  # 216 + 144 + 640
    if keep == 100:
        assert counts == [1000, 631, 398, 251, 158, 100]
    if isinstance(keep, dict):
        assert [int(m["8.weight"].sum()) for m in [*seen, last]] == [640, 354, 195, 108, 60, 33]
        assert {n: int(m.sum()) for n, m in last.items()} == keep
    assert all(M.regrown(b, a) == 0 for a, b in itertools.pairwise([*seen, last]))


def test_exponential_in_one_step_is_one_ranking():
    net, masks = small(), dense(small())
    for name in ("snip", "synflow"):
        score = scorers(net)[name]
        once = M.keep_top(score(masks), masks, 250)
        assert M.hash_masks(criteria.exponential(score, masks, 250, steps=1)) == M.hash_masks(once)
        assert M.hash_masks(criteria.exponential(score, masks, 250, steps=20)) != M.hash_masks(once)


def test_synflow_of_a_network_of_grouped_convolutions_and_clipping_activations():
    torch.manual_seed(0)
    net = efficientnet_lite0.network(5)
    scores = criteria.synflow(net, dense(net), (3, 32, 32))
    assert all((s > 0).all() for n, s in scores.items() if "depthwise" not in n)  # corners of a kernel see padding alone
    assert all(s.flatten(1).sum(1).min() > 0 for s in scores.values())
    head = scores["_fc.2.weight"].sum()
    torch.testing.assert_close(scores["_conv_stem.weight"].sum(), head, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SwinTransformer([4, 4], embed_dim=8, depths=[2], num_heads=[2], window_size=[2, 2]),
        lambda: VisionTransformer(16, 4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8),
    ],
)
def test_synflow_is_refused_where_a_softmax_ends_the_flow(make):
    net = make()
    with pytest.raises(NumberError, match="no synaptic flow through a softmax, as attention has"):
        criteria.synflow(net, dense(net), (3, 16, 16))


