import numpy as np
import pytest
import torch
from torch import nn

from lth.pruning import masks as M
from lth.pruning.criteria import magnitude


def scores(*rows: list[float]) -> dict[str, torch.Tensor]:
    return {f"w{i}": torch.tensor(row) for i, row in enumerate(rows)}


def test_only_conv_and_linear_weights_are_prunable():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 2))
    assert M.prunable(net) == ["0.weight", "3.weight", "5.weight"]
    assert M.prunable(net, spare=["5"]) == ["0.weight", "3.weight"]
    net[0].requires_grad_(False)
    assert M.prunable(net) == ["3.weight", "5.weight"]
    assert M.prunable(net, spare=["3"], scope="all") == ["0.weight", "5.weight"]


def test_a_spared_module_is_spared_with_all_its_layers_and_by_its_whole_name():
    net = nn.ModuleDict(
        {"fc": nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)), "fc2": nn.Linear(2, 2), "tied": nn.Linear(4, 3)}
    )
    net["tied"].weight = net["fc"][0].weight
    assert M.prunable(net) == ["fc.0.weight", "fc.2.weight", "fc2.weight"]
    assert M.prunable(net, spare=["fc"]) == ["fc2.weight"]
    assert M.prunable(net, spare=["fc.2", "fc2"]) == ["fc.0.weight"]
    assert M.prunable(net, spare=["tied"]) == ["fc.2.weight", "fc2.weight"], "one weight under two names"
    with pytest.raises(AttributeError, match="head"):
        M.prunable(net, spare=["head"])


@pytest.mark.parametrize("keep", range(9))
def test_exact_count_whatever_ties(keep):
    equal = scores([1.0] * 5, [1.0] * 3)
    assert M.kept(M.keep_top(equal, M.dense(equal), keep)) == keep


def test_ties_fall_by_position_and_the_earlier_is_kept():
    s = scores([2.0, 1.0, 1.0], [1.0, 3.0, 1.0])
    kept = M.keep_top(s, M.dense(s), 4)
    assert kept["w0"].tolist() == [True, True, True]
    assert kept["w1"].tolist() == [False, True, False]


def test_the_largest_magnitudes_are_kept_negative_ones_too():
    weights = {"w": torch.tensor([[-5.0, 0.1], [0.2, -0.3]])}
    kept = M.keep_top(magnitude(weights, M.dense(weights)), M.dense(weights), 2)
    assert kept["w"].tolist() == [[True, False], [False, True]]


def test_a_pruned_weight_never_comes_back_however_large():
    parent = {"w": torch.tensor([False, True, True, True])}
    child = M.keep_top({"w": torch.tensor([9.0, 1.0, 2.0, 3.0])}, parent, 2)
    assert child["w"].tolist() == [False, False, True, True]
    assert M.regrown(child, parent) == 0
    assert M.regrown({"w": torch.tensor([True, True, False, False])}, parent) == 1


def test_agrees_with_a_stable_sort_on_random_scores_with_many_ties():
    rng = torch.Generator().manual_seed(3)
    for _ in range(20):
        s = {"a": torch.randint(0, 4, (7, 3), generator=rng).float(), "b": torch.randint(0, 4, (11,), generator=rng).float()}
        parent = {n: torch.rand(t.shape, generator=rng) < 0.7 for n, t in s.items()}
        keep = M.kept(parent) // 2
        got = torch.cat([m.flatten() for m in M.keep_top(s, parent, keep).values()])
        flat, alive = (torch.cat([d[n].flatten() for n in s]) for d in (s, parent))
        order = [i for i in torch.sort(flat, descending=True, stable=True).indices.tolist() if alive[i]]
        assert sorted(order[:keep]) == got.nonzero().flatten().tolist()


def test_position_does_not_depend_on_memory_format():
    weight = torch.randint(0, 3, (4, 3, 3, 3)).float()
    last = weight.contiguous(memory_format=torch.channels_last)
    a, b = (M.keep_top({"w": w}, M.dense({"w": w}), 50)["w"] for w in (weight, last))
    assert torch.equal(a, b)


def test_not_a_number_is_never_ranked():
    s = scores([1.0, float("nan")])
    with pytest.raises(ValueError, match="not a number"):
        M.keep_top(s, M.dense(s), 1)


def test_ties_within_each_tensor_fall_by_position():
    equal = {"a": torch.ones(2, 3), "b": torch.tensor([1.0, 2.0, 1.0])}
    kept = M.keep_top(equal, M.dense(equal), {"a": 4, "b": 2})
    assert kept["a"].flatten().tolist() == [True] * 4 + [False] * 2
    assert kept["b"].tolist() == [True, True, False]


@pytest.mark.parametrize("keep", [{"a": 4}, {"a": -1}, {"b": 1}, {}, {"a": 1, "b": 1}])
def test_impossible_numbers_for_each_tensor_are_refused(keep):
    scores = {"a": torch.ones(3)}
    with pytest.raises(ValueError, match=r"cannot keep|one number for each"):
        M.keep_top(scores, M.dense(scores), keep)


def test_float64_scores_are_ranked_where_float32_has_no_numbers_left():
    scores = {"a": torch.DoubleTensor([1e-60, 3e-60, 0.0]), "b": torch.DoubleTensor([2e-60, 1e199, 1e200])}
    kept = M.keep_top(scores, M.dense(scores), 3)
    assert (kept["a"].tolist(), kept["b"].tolist()) == ([False, True, False], [False, True, True])
    assert M.keep_top(scores, M.dense(scores), {"a": 2, "b": 1})["b"].tolist() == [False, False, True]
    mixed = {"a": torch.tensor([1.0]), "b": torch.tensor([1 + 1e-12, 1 - 1e-12], dtype=torch.float64)}
    assert M.keep_top(mixed, M.dense(mixed), 1)["b"].tolist() == [True, False]


@pytest.mark.parametrize("keep", [-1, 4])
def test_an_impossible_count_is_refused(keep):
    s = scores([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="cannot keep"):
        M.keep_top(s, M.dense(s), keep)


def test_the_schedule_rounds_to_the_nearest_in_exact_arithmetic():
    assert M.kept_after(10, 0.2) == 8
    assert M.kept_after(100, 0.29) == 71  # 0.29 * 100 is 28.999999999999996 in binary
    assert M.kept_after(6205610, 0.2, 3) == M.kept_after(M.kept_after(M.kept_after(6205610, 0.2), 0.2), 0.2)
    for k in range(1, 12):
        assert abs(M.kept_after(10**6, 0.2, k) - 10**6 * 0.8**k) < 3


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5])
def test_a_rate_outside_the_open_unit_interval_is_refused(rate):
    with pytest.raises(ValueError, match="fraction"):
        M.kept_after(10, rate)


def test_apply_gives_plus_zero_and_leaves_the_rest_to_the_bit():
    state = {"w": torch.tensor([-1.5, 2.0, -0.0]), "b": torch.tensor([3.0])}
    out = M.apply(state, {"w": torch.tensor([False, True, True])})
    assert out["w"].numpy().tobytes() == np.array([0.0, 2.0, -0.0], np.float32).tobytes()
    assert out["b"] is state["b"]
    assert state["w"][0] == -1.5


@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (3, 5), (2, 3, 3, 3), (0,)])
def test_packing_takes_one_bit_a_weight_and_comes_back(shape):
    mask = torch.rand(shape) < 0.5
    bits = M.pack(mask)
    assert bits.dtype == torch.uint8
    assert bits.numel() == -(-mask.numel() // 8)
    assert torch.equal(M.unpack(bits, shape), mask)


def test_unpacking_bytes_of_no_such_mask_is_refused():
    for damaged in (torch.zeros(3, dtype=torch.uint8), torch.tensor([0, 1], dtype=torch.uint8)):
        with pytest.raises(ValueError, match="no mask of shape"):
            M.unpack(damaged, (9,))


def test_the_digest_sees_every_bit_name_and_shape():
    mask = {"w": torch.tensor([True, False, True, True])}
    flipped = {"w": torch.tensor([True, True, True, True])}
    assert M.hash_masks(mask) == M.hash_masks({"w": mask["w"].clone()})
    assert len({M.hash_masks(m) for m in (mask, flipped, {"v": mask["w"]}, {"w": mask["w"].view(2, 2)})}) == 4


def test_revived_counts_any_pruned_weight_that_is_not_zero():
    masks = {"w": torch.tensor([True, False, False])}
    assert M.revived({"w": torch.tensor([1.0, 0.0, -0.0])}, masks) == 0
    assert M.revived({"w": torch.tensor([1.0, 1e-30, float("nan")])}, masks) == 2
