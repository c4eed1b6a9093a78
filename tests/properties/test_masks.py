"""Counts, nesting, ties and packing of masks, for any shapes and scores."""

from fractions import Fraction

import torch
from hypothesis import given
from hypothesis import strategies as st

from lth.pruning import allocation
from lth.pruning import masks as M
from tests.properties import few

SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
RATES = st.decimals("0.01", "0.99", places=2).map(float)


@st.composite
def ranked(draw, levels: int = 4):
    """Scores with many ties, and masks that some weights are pruned of already."""
    seed = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shapes = draw(st.lists(SHAPES, min_size=1, max_size=4))
    scores = {f"w{i}": torch.randint(-levels, levels, shape, generator=seed).float() for i, shape in enumerate(shapes)}
    return scores, {name: torch.rand(t.shape, generator=seed) < 0.7 for name, t in scores.items()}


def flat(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([t.flatten() for t in tensors.values()])


@few
@given(ranked(), st.data())
def test_exact_count_nesting_and_ties_by_position(pair, data):
    scores, masks = pair
    keep = data.draw(st.integers(0, M.kept(masks)))
    got = M.keep_top(scores, masks, keep)
    assert M.kept(got) == keep
    assert M.regrown(got, masks) == 0
    order = [i for i in torch.sort(flat(scores), descending=True, stable=True).indices.tolist() if flat(masks)[i]]
    assert flat(got).nonzero().flatten().tolist() == sorted(order[:keep])


@few
@given(ranked(), st.data())
def test_fewer_are_nested_in_more(pair, data):
    scores, masks = pair
    less, more = sorted(data.draw(st.lists(st.integers(0, M.kept(masks)), min_size=2, max_size=2)))
    assert M.regrown(M.keep_top(scores, masks, less), M.keep_top(scores, masks, more)) == 0


@few
@given(SHAPES, st.integers(0, 2**32))
def test_a_mask_comes_back_from_its_bits(shape, seed):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    [restored] = M.from_state(M.to_state({"w": mask})).values()
    assert torch.equal(restored, mask)
    assert M.pack(mask).numel() == -(-mask.numel() // 8)


@few
@given(st.integers(0, 10**9), RATES, st.integers(1, 8))
def test_rounds_compose_and_prune_the_nearest_number(kept, rate, rounds):
    one_by_one = kept
    for _ in range(rounds):
        before, one_by_one = one_by_one, M.kept_after(one_by_one, rate)
        assert 0 <= one_by_one <= before
        assert abs((before - one_by_one) - Fraction(str(rate)) * before) <= Fraction(1, 2)
    assert M.kept_after(kept, rate, rounds) == one_by_one, "one shot is all its rounds"


@few
@given(ranked(), RATES, st.integers(1, 3), st.sampled_from(["global", "layerwise", "erk"]))
def test_allocations_sum_exactly_and_fit(pair, rate, rounds, kind):
    _, masks = pair
    keep = allocation.keeps(masks, rate, rounds, allocation=kind)
    before = M.kept_per_layer(masks)
    if kind == "layerwise":
        assert keep == {name: M.kept_after(count, rate, rounds) for name, count in before.items()}
    else:
        assert allocation.total(keep) == M.kept_after(M.kept(masks), rate, rounds)
    if kind != "global":
        assert all(0 <= keep[name] <= before[name] for name in before)
        assert M.kept_per_layer(M.keep_top(pair[0], masks, keep)) == keep


@few
@given(ranked())
def test_applying_a_mask_twice_is_applying_it_once(pair):
    scores, masks = pair
    once = M.apply(scores, masks)
    assert M.revived(once, masks) == 0
    assert all(torch.equal(once[n], M.apply(once, masks)[n]) for n in once)
