"""Prune steps of channels and of N:M patterns, for planning a round and for verifying it from its files."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lth.config import Prune
from lth.pruning import channels, n_of_m
from lth.pruning import masks as M
from lth.pruning.channels import Group
from lth.pruning.masks import Masks

Flops = Callable[[Masks], float]


def prune_channels(
    prune: Prune, levels: int, groups: Sequence[Group], before: Masks, weights: Mapping[str, Tensor], seed: int, flops: Flops
) -> Masks:
    """Return the masks of a prune step over channels.

    Args:
        levels: rounds that the step stands for.
        weights: the trained ones, which ``magnitude`` ranks.
        seed: from which ``random`` draws.
        flops: of the network with masks, for ``prune.budget=flops``.
    """
    if prune.criterion == "random":
        generator = torch.Generator().manual_seed(seed)
        scores = [torch.rand(group.channels, generator=generator) for group in groups]
    else:
        scores = channels.magnitudes(groups, M.apply(weights, before), channels.kept(groups, before))
    budget = flops if prune.budget == "flops" else None
    return channels.prune(groups, before, scores, prune.rate, levels, layerwise=prune.allocation == "layerwise", flops=budget)


def prune_pattern(structure: str, scores: Mapping[str, Tensor], before: Masks) -> Masks:
    """Return the masks of an N:M step; weights whose number of inputs does not divide keep their masks."""
    n, m = n_of_m.parse(structure)
    fitting = n_of_m.fitting(before, m)
    return before | n_of_m.prune(scores, {name: before[name] for name in fitting}, n, m)


def pattern_keeps(structure: str, before: Masks) -> dict[str, int]:
    """Return how many weights of each layer an N:M step keeps."""
    n, m = n_of_m.parse(structure)
    fitting = n_of_m.fitting(before, m)
    return {name: mask.numel() * n // m if name in fitting else M.kept({name: mask}) for name, mask in before.items()}


def left_dense(structure: str, masks: Masks) -> list[str]:
    """Return the names of the weights that an N:M step does not prune, as their number of inputs does not divide; sorted."""
    if not (pattern := n_of_m.parse(structure)):
        return []
    return sorted(masks.keys() - set(n_of_m.fitting(masks, pattern[1])))


def random_like(structure: str, groups: Sequence[Group], masks: Masks, seed: int) -> Masks:
    """Return masks of the same structure and layer sizes, drawn at random: a control."""
    if groups:
        return channels.masks(groups, channels.random_keep(channels.kept(groups, masks), seed), M.dense(masks))
    if n_of_m.parse(structure):
        generator = torch.Generator().manual_seed(seed)
        scores = {name: torch.rand(mask.shape, generator=generator) for name, mask in masks.items()}
        return prune_pattern(structure, scores, M.dense(masks))
    return M.random_like(masks, seed)


def check(prune: Prune, levels: int, groups: Sequence[Group], masks: Masks, before: Masks | None) -> dict[str, Any] | None:
    """Return whether masks have the structure that a step asks for, and the numbers that show it; None for single weights.

    Args:
        before: the masks that were pruned; None: of a control, whose counts follow from its ticket.
    """
    if prune.structure == "weights":
        return None
    if pattern := n_of_m.parse(prune.structure):
        dense = left_dense(prune.structure, masks)
        holds = all(n_of_m.holds(mask, *pattern) for name, mask in masks.items() if name not in dense)
        return {"holds": holds, "structure": prune.structure, "left_dense": dense}
    keep = channels.kept(groups, masks)
    whole = channels.masks(groups, keep, M.dense(masks))
    count, expected = channels.count(keep), None
    if before is not None and prune.budget == "channels":
        alive = channels.kept(groups, before)
        number = channels.left(alive, prune.rate, levels, layerwise=prune.allocation == "layerwise")
        expected = number if isinstance(number, int) else sum(number)
    holds = bool(groups) and all(mask.equal(whole[name]) for name, mask in masks.items()) and expected in (None, count)
    return {"holds": holds, "structure": "channels", "groups": len(groups), "kept": count, "expected": expected}
