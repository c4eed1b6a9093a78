import pytest
import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet18

from lth.models.small import lenet_300_100, simple_cnn
from lth.pruning import masks as M
from lth.pruning.allocation import erk, keeps, total


def dense(net: nn.Module) -> M.Masks:
    params = dict(net.named_parameters())
    return M.dense({n: params[n] for n in M.prunable(net)})


def shapes(**shapes: tuple[int, ...]) -> M.Masks:
    return M.dense({name: torch.empty(shape) for name, shape in shapes.items()})


def test_global_is_one_number_over_all_layers():
    masks = shapes(a=(10, 10), b=(7, 3))
    assert keeps(masks, 0.2) == M.kept_after(121, 0.2)
    assert keeps(masks, 0.2, 3) == M.kept_after(121, 0.2, 3)


def test_layerwise_prunes_each_layer_at_the_rate_and_the_last_at_its_own():
    masks = shapes(a=(10, 10), b=(7, 3), head=(5, 10))
    masks["a"][:5] = False
    assert keeps(masks, 0.2, allocation="layerwise") == {"a": 40, "b": 17, "head": 40}
    assert keeps(masks, 0.2, allocation="layerwise", head=["head"], head_rate=0.5) == {"a": 40, "b": 17, "head": 45}
    assert keeps(masks, 0.2, 2, allocation="layerwise", head=["head"], head_rate=0.5)["head"] == 41  # 50, 45, 45 - 4.5


def test_the_last_layers_rate_is_a_product_of_decimals():
    masks = shapes(head=(10, 5))
    assert 0.7 * 0.1 < 0.07  # in binary; in decimals 0.07 * 50 = 3.5 goes to the even 4
    assert keeps(masks, 0.7, allocation="layerwise", head=["head"], head_rate=0.1) == {"head": 46}


def test_lenet_of_the_paper_after_a_round_and_after_seven():
    masks = dense(lenet_300_100(10, 28, channels=1))
    numbers = {"allocation": "layerwise", "head": ["head.weight"], "head_rate": 0.5}
    assert keeps(masks, 0.2, **numbers) == {"fc1.1.weight": 188160, "fc2.0.weight": 24000, "head.weight": 900}
    assert total(keeps(masks, 0.2, 7, **numbers)) / M.size(masks) == pytest.approx(0.211, abs=5e-4)  # the paper's 21.1%


@pytest.mark.parametrize("network", [resnet18, mobilenet_v2, lambda: simple_cnn(6, 32)])
def test_erk_keeps_exactly_the_number_that_was_asked_at_any_density(network):
    masks = dense(network())
    for rate in (0.0001, 0.1, 0.35, 0.611, 0.9, 0.99, 0.9999):
        counts = keeps(masks, rate, allocation="erk")
        assert list(counts) == list(masks)
        assert total(counts) == M.kept_after(M.size(masks), rate), rate
        assert all(0 <= counts[name] <= mask.numel() for name, mask in masks.items())


@pytest.mark.parametrize("rate", [0.3, 0.9, 0.99])
def test_erk_densities_are_in_the_papers_proportion_except_where_a_layer_is_full(rate):
    masks = dense(resnet18())
    counts = keeps(masks, rate, allocation="erk")
    full = {name for name, mask in masks.items() if counts[name] == mask.numel()}
    share = {name: sum(mask.shape) for name, mask in masks.items()}
    low = max((counts[name] - 1) / share[name] for name in masks if name not in full)
    high = min((counts[name] + 1) / share[name] for name in masks if name not in full)
    assert low < high  # one common factor, but for rounding
    assert high - low < 0.02 * low
    assert all(counts[name] / share[name] < high for name in full)
    assert bool(full) == (rate < 0.99)


def test_erk_gives_what_a_full_layer_cannot_take_to_the_others_in_proportion():
    masks = shapes(small=(2, 2), wide=(10, 20), deep=(40, 20))  # shares 4, 30, 60
    assert erk(masks, 47) == {"small": 2, "wide": 15, "deep": 30}
    assert erk(masks, 184) == {"small": 4, "wide": 60, "deep": 120}  # small wants 7.8 and is full
    assert erk(masks, 704) == {"small": 4, "wide": 200, "deep": 500}  # now wide wants 233 and is full too
    assert erk(masks, 1004) == {"small": 4, "wide": 200, "deep": 800}
    assert erk(masks, 0) == {"small": 0, "wide": 0, "deep": 0}


def test_erk_counts_kernels_and_groups_by_the_weights_shape():
    net = nn.Sequential(nn.Conv2d(8, 16, (3, 5)), nn.Conv2d(16, 16, 3, groups=16), nn.Flatten(), nn.Linear(16, 5))
    assert erk(dense(net), 74 // 2) == {"0.weight": 16, "1.weight": 11, "3.weight": 10}  # of 32, 23 and 21, in all 76


def test_erk_gives_no_layer_more_than_a_parent_left_it():
    masks = shapes(a=(20, 20), b=(20, 20), c=(10, 30))
    masks["a"][1:] = False
    assert keeps(masks, 0.5, allocation="erk") == {"a": 20, "b": 170, "c": 170}
    assert total(erk(masks, 719)) == 719


def test_largest_remainders_win_and_ties_fall_by_position():
    masks = shapes(a=(3, 3), b=(3, 3), c=(3, 3), d=(6, 6))
    assert erk(masks, 7) == {"a": 2, "b": 1, "c": 1, "d": 3}  # quotas 1.4, 1.4, 1.4, 2.8
    assert erk(masks, 6) == {"a": 1, "b": 1, "c": 1, "d": 3}  # quotas 1.2, 1.2, 1.2, 2.4


def test_an_unknown_allocation_is_refused():
    with pytest.raises(ValueError, match="allocation=uniform is not accepted: it takes global, layerwise or erk"):
        keeps(shapes(a=(3, 3)), 0.2, allocation="uniform")
