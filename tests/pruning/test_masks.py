"""Masks on examples; ``tests/properties/test_masks.py`` has what holds for any scores: counts, nesting, ties, packing."""

import numpy as np
import pytest
import torch
from torch import nn

from lth.pruning import masks as M


def test_only_conv_and_linear_weights_are_prunable_and_a_spared_module_is_spared_by_its_whole_name():
    net = nn.ModuleDict({
        "conv": nn.Conv2d(3, 4, 3), "bn": nn.BatchNorm2d(4), "fc": nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)),
        "fc2": nn.Linear(2, 2), "tied": nn.Linear(4, 3),
    })  # fmt: skip
    net["tied"].weight = net["fc"][0].weight
    assert M.prunable(net) == ["conv.weight", "fc.0.weight", "fc.2.weight", "fc2.weight"]
    assert M.prunable(net, spare=["fc"]) == ["conv.weight", "fc2.weight"]
    assert M.prunable(net, spare=["fc.2", "fc2"]) == ["conv.weight", "fc.0.weight"]
    assert M.prunable(net, spare=["tied"]) == ["conv.weight", "fc.2.weight", "fc2.weight"], "one weight under two names"
    net["conv"].requires_grad_(False)
    assert M.prunable(net, spare=["fc"]) == ["fc2.weight"]
    assert M.prunable(net, spare=["fc"], scope="all") == ["conv.weight", "fc2.weight"]


def test_position_does_not_depend_on_memory_format():
    weight = torch.randint(0, 3, (4, 3, 3, 3)).float()
    last = weight.contiguous(memory_format=torch.channels_last)
    a, b = (M.keep_top({"w": w}, M.dense({"w": w}), 50)["w"] for w in (weight, last))
    assert torch.equal(a, b)


@pytest.mark.parametrize("keep", [4, -1, {"a": 4}, {"a": -1}])
def test_impossible_numbers_are_refused(keep):
    scores = {"a": torch.ones(3)}
    with pytest.raises(ValueError, match="cannot keep"):
        M.keep_top(scores, M.dense(scores), keep)


def test_float64_scores_are_ranked_where_float32_has_no_numbers_left():
    scores = {"a": torch.DoubleTensor([1e-60, 3e-60, 0.0]), "b": torch.DoubleTensor([2e-60, 1e199, 1e200])}
    kept = M.keep_top(scores, M.dense(scores), 3)
    assert (kept["a"].tolist(), kept["b"].tolist()) == ([False, True, False], [False, True, True])
    mixed = {"a": torch.tensor([1.0]), "b": torch.tensor([1 + 1e-12, 1 - 1e-12], dtype=torch.float64)}
    assert M.keep_top(mixed, M.dense(mixed), 1)["b"].tolist() == [True, False]


def test_the_schedule_rounds_to_the_nearest_in_exact_arithmetic():
    assert M.kept_after(10, 0.2) == 8
    assert M.kept_after(100, 0.29) == 71  # 0.29 * 100 is 28.999999999999996 in binary
    for rate in (0, 1, -0.1, 1.5):
        with pytest.raises(ValueError, match="fraction"):
            M.kept_after(10, rate)


def test_apply_gives_plus_zero_and_leaves_the_rest_to_the_bit():
    state = {"w": torch.tensor([-1.5, 2.0, -0.0]), "b": torch.tensor([3.0])}
    out = M.apply(state, {"w": torch.tensor([False, True, True])})
    assert out["w"].numpy().tobytes() == np.array([0.0, 2.0, -0.0], np.float32).tobytes()
    assert out["b"] is state["b"]
    assert state["w"][0] == -1.5


def test_unpacking_bytes_of_no_such_mask_is_refused():
    for damaged in (torch.zeros(3, dtype=torch.uint8), torch.tensor([0, 1], dtype=torch.uint8)):
        with pytest.raises(ValueError, match="no mask of shape"):
            M.unpack(damaged, (9,))


def test_the_hash_sees_every_bit_name_and_shape():
    mask, flipped = {"w": torch.tensor([True, False, True, True])}, {"w": torch.tensor([True, True, True, True])}
    of_files = "7edfcff1b9a9d043be1fe2feabd791b388e59cfba7a6dac79be81c22e2a520df"
    assert M.hash_masks(mask) == M.hash_masks({"w": mask["w"].clone()}) == of_files
    assert len({M.hash_masks(m) for m in (mask, flipped, {"v": mask["w"]}, {"w": mask["w"].view(2, 2)})}) == 4


def test_revived_counts_any_pruned_weight_that_is_not_zero_and_regrown_any_that_is_kept_again():
    masks = {"w": torch.tensor([True, False, False])}
    assert M.revived({"w": torch.tensor([1.0, 0.0, -0.0])}, masks) == 0
    assert M.revived({"w": torch.tensor([1.0, 1e-30, float("nan")])}, masks) == 2
    assert M.regrown({"w": torch.tensor([True, True, False])}, masks) == 1


@pytest.mark.parametrize("draw", [M.shuffled, M.random_like])
def test_drawn_masks_keep_as_many_of_each_layer_by_their_seed(draw):
    masks = {"a": torch.rand(40, 10) < 0.3, "b": torch.arange(50) < 20}
    one, again, other = (draw(masks, seed) for seed in (5, 5, 6))
    assert M.kept_per_layer(one) == M.kept_per_layer(masks)
    assert M.hash_masks(one) == M.hash_masks(again)
    assert len({M.hash_masks(m) for m in (one, other, masks)}) == 3
