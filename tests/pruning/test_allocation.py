"""Allocations by hand; ``tests/properties/test_masks.py`` has what holds for any: exact sums that fit into the layers."""

import pytest
import torch
from torch import nn

from lth.models.small import lenet_300_100
from lth.pruning import masks as M
from lth.pruning.allocation import erk, keeps, total
from tests.pruning.test_criteria import dense


def shapes(**shapes: tuple[int, ...]) -> M.Masks:
    return M.dense({name: torch.empty(shape) for name, shape in shapes.items()})


def test_layerwise_prunes_each_layer_at_the_rate_and_the_last_at_its_own():
    masks = shapes(a=(10, 10), b=(7, 3), head=(5, 10))
    masks["a"][:5] = False
    assert keeps(masks, 0.2, allocation="layerwise") == {"a": 40, "b": 17, "head": 40}
    assert keeps(masks, 0.2, allocation="layerwise", head=["head"], head_rate=0.5) == {"a": 40, "b": 17, "head": 45}
    assert keeps(masks, 0.2, 2, allocation="layerwise", head=["head"], head_rate=0.5)["head"] == 41  # 50, 45, 45 - 4.5
    assert 0.7 * 0.1 < 0.07  # in binary; in decimals 0.07 * 50 = 3.5 goes to the even 4
    assert keeps(masks, 0.7, allocation="layerwise", head=["head"], head_rate=0.1)["head"] == 46


def test_lenet_of_the_paper_after_a_round_and_after_seven():
    masks = dense(lenet_300_100(10, 28, channels=1))
    numbers = {"allocation": "layerwise", "head": ["head.weight"], "head_rate": 0.5}
    assert keeps(masks, 0.2, **numbers) == {"fc1.1.weight": 188160, "fc2.0.weight": 24000, "head.weight": 900}
    assert total(keeps(masks, 0.2, 7, **numbers)) / M.size(masks) == pytest.approx(0.211, abs=5e-4)  # the paper's 21.1%


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (47, [2, 15, 30]), (184, [4, 60, 120]),  # small wants 7.8 and is full
        (704, [4, 200, 500]),  # now wide wants 233 and is full too
        (1004, [4, 200, 800]), (0, [0, 0, 0]),
    ],
)  # fmt: skip
def test_erk_gives_what_a_full_layer_cannot_take_to_the_others_in_proportion(keep, expected):
    masks = shapes(small=(2, 2), wide=(10, 20), deep=(40, 20))  # shares 4, 30, 60
    assert list(erk(masks, keep).values()) == expected


def test_erk_counts_kernels_groups_and_what_a_parent_left_and_rounds_by_largest_remainders():
    net = nn.Sequential(nn.Conv2d(8, 16, (3, 5)), nn.Conv2d(16, 16, 3, groups=16), nn.Flatten(), nn.Linear(16, 5))
    assert erk(dense(net), 74 // 2) == {"0.weight": 16, "1.weight": 11, "3.weight": 10}  # of 32, 23 and 21, in all 76
    masks = shapes(a=(20, 20), b=(20, 20), c=(10, 30))
    masks["a"][1:] = False
    assert keeps(masks, 0.5, allocation="erk") == {"a": 20, "b": 170, "c": 170}
    masks = shapes(a=(3, 3), b=(3, 3), c=(3, 3), d=(6, 6))
    assert erk(masks, 7) == {"a": 2, "b": 1, "c": 1, "d": 3}  # quotas 1.4, 1.4, 1.4, 2.8; ties fall by position
    assert erk(masks, 6) == {"a": 1, "b": 1, "c": 1, "d": 3}  # quotas 1.2, 1.2, 1.2, 2.4


def test_an_unknown_allocation_is_refused():
    with pytest.raises(ValueError, match="allocation=uniform is not accepted: it takes global, layerwise or erk"):
        keeps(shapes(a=(3, 3)), 0.2, allocation="uniform")
