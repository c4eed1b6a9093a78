"""Criteria: pure functions from weights to scores, larger = kept."""

from collections.abc import Mapping

from torch import Tensor

from lth.pruning.masks import Masks


def magnitude(weights: Mapping[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    """|w| of every prunable weight, in float32 (Frankle & Carbin 2019, section 2). Shapes as the masks'."""
    return {name: weights[name].detach().float().abs() for name in masks}
