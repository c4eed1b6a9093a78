"""N:M sparsity: of every M weights in a row along the input dimension N are kept (Mishra et al. 2021, arXiv 2104.08378)."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from lth.errors import UsageError
from lth.pruning.masks import Masks


def parse(structure: str) -> tuple[int, int] | None:
    """Return N and M of ``2:4``; None where ``structure`` is no such pattern, or not 0 < N < M."""
    found = re.fullmatch(r"([1-9][0-9]*):([1-9][0-9]*)", structure)
    n, m = map(int, found.groups()) if found else (0, 0)
    return (n, m) if 0 < n < m else None


def fitting(weights: Mapping[str, Tensor], m: int) -> list[str]:
    """Return the names of the weights, or masks, (outputs, inputs, ...) whose number of inputs is a multiple of ``m``."""
    return [name for name, t in weights.items() if t.ndim > 1 and t.shape[1] % m == 0]


def prune(scores: Mapping[str, Tensor], before: Masks, n: int, m: int) -> Masks:
    """Return masks that keep the ``n`` best-scored of every ``m`` neighbours along dimension 1; of equal ones the earlier.

    Args:
        scores: of the shapes of the masks; a pruned weight is never kept.
        before: masks of weights whose dimension 1 is a multiple of ``m``.

    Raises:
        UsageError: ``before`` holds fewer than ``n`` weights of a group, or a weight does not fit.
    """
    result = {}
    for name, mask in before.items():
        if mask.shape[1] % m:
            raise UsageError(f"{name} has {mask.shape[1]} inputs, which is no multiple of {m}.")
        groups = torch.where(mask, scores[name].detach().cpu().float(), -torch.inf).movedim(1, -1)
        groups = groups.reshape(*groups.shape[:-1], -1, m)
        if int((groups > -torch.inf).sum(-1).min()) < n:
            raise UsageError(f"fewer than {n} of {m} weights are left in {name}, so {n}:{m} cannot be reached from there.")
        best = groups.argsort(dim=-1, descending=True, stable=True)[..., :n]
        chosen = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, best, True)
        result[name] = chosen.flatten(-2).movedim(-1, 1).contiguous()
    return result


def holds(mask: Tensor, n: int, m: int) -> bool:
    """Return whether a mask (outputs, inputs, ...) keeps exactly ``n`` of every ``m`` neighbours along dimension 1."""
    groups = mask.movedim(1, -1)
    return bool((groups.reshape(*groups.shape[:-1], -1, m).sum(-1) == n).all())
