"""N:M masks: exact in every group, nested, ties by position."""

import pytest
import torch

from lth.errors import UsageError
from lth.pruning import n_of_m


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (3, 4), (4, 8)])
@pytest.mark.parametrize("shape", [(6, 16), (5, 8, 3, 3)])
def test_exactly_n_of_m_along_the_input_dimension(n: int, m: int, shape: tuple[int, ...]) -> None:
    scores = {"w": torch.randn(shape).abs()}
    before = {"w": torch.ones(shape, dtype=torch.bool)}
    mask = n_of_m.prune(scores, before, n, m)["w"]
    assert n_of_m.holds(mask, n, m)
    assert int(mask.sum()) == mask.numel() * n // m
    kept, pruned = torch.where(mask, scores["w"], torch.inf), torch.where(mask, -torch.inf, scores["w"])
    groups = kept.movedim(1, -1).reshape(-1, m).min(1).values, pruned.movedim(1, -1).reshape(-1, m).max(1).values
    assert (groups[0] >= groups[1]).all()


def test_of_equal_scores_the_earlier_is_kept() -> None:
    assert n_of_m.prune({"w": torch.ones(1, 8)}, {"w": torch.ones(1, 8, dtype=torch.bool)}, 2, 4)["w"].tolist() == [
        [True, True, False, False] * 2
    ]


def test_nested_in_a_mask_of_more_and_refused_from_one_of_fewer() -> None:
    scores = {"w": torch.rand(8, 16)}
    more = n_of_m.prune(scores, {"w": torch.ones(8, 16, dtype=torch.bool)}, 3, 4)
    less = n_of_m.prune(scores, more, 2, 4)
    assert not (less["w"] & ~more["w"]).any()
    with pytest.raises(UsageError, match="fewer than 3 of 4"):
        n_of_m.prune(scores, less, 3, 4)


@pytest.mark.parametrize(
    ("text", "parsed"), [("2:4", (2, 4)), ("1:16", (1, 16)), ("4:4", None), ("0:4", None), ("weights", None)]
)
def test_parse(text: str, parsed: tuple[int, int] | None) -> None:
    assert n_of_m.parse(text) == parsed


def test_weights_whose_inputs_do_not_divide_are_left_out() -> None:
    assert n_of_m.fitting({"a": torch.ones(3, 15), "b": torch.ones(3, 16, 3, 3), "bias": torch.ones(16)}, 4) == ["b"]
