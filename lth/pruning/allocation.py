"""Allocations: how many weights are to be kept, over all layers or in each."""

from collections.abc import Collection, Mapping
from fractions import Fraction

from lth.pruning.masks import Masks, kept, kept_after, kept_per_layer

Keep = int | dict[str, int]


def keeps(
    masks: Masks, rate: float, rounds: int = 1, *, allocation: str = "global", head: Collection[str] = (), head_rate: float = 1.0
) -> Keep:
    """Return how many of the weights that ``masks`` keep are kept after ``rounds`` rounds, for ``masks.keep_top``.

    Args:
        rate: fraction of the remaining weights that a round prunes, above 0 and below 1.
        allocation: ``global``: one number over all layers; ``layerwise``: each layer loses the same fraction;
            ``erk``: as many as ``global`` in all, spread by the layers' shapes.
        head: names of the weights that ``layerwise`` prunes at ``rate * head_rate``; half in Frankle & Carbin (2019, section 2).
    """
    if allocation == "layerwise":
        exact = Fraction(str(rate))
        rates = dict.fromkeys(masks, exact) | dict.fromkeys(head, exact * Fraction(str(head_rate)))
        return {name: kept_after(count, rates[name], rounds) for name, count in kept_per_layer(masks).items()}
    if allocation not in ("global", "erk"):
        raise ValueError(f"allocation={allocation} is not accepted: it takes global, layerwise or erk.")
    keep = kept_after(kept(masks), rate, rounds)
    return erk(masks, keep) if allocation == "erk" else keep


def erk(masks: Masks, keep: int) -> dict[str, int]:
    """Spread ``keep`` weights over layers by Erdős-Rényi-Kernel (Evci et al. 2020, section 3); the numbers add up exactly.

    A layer's density is proportional to (n_in + n_out + height + width) / (n_in n_out height width), so its number of
    weights to the sum of its shape. What a layer cannot take, since ``masks`` keep no more of it, goes to the others
    in the same proportion. Whole numbers by largest remainders, ties by position.
    """
    capacity = kept_per_layer(masks)
    share = {name: sum(mask.shape) or 1 for name, mask in masks.items()}
    left, shares = Fraction(keep), sum(share.values())
    quotas: dict[str, Fraction] = {}
    # Layers that fill up first come first, so what they leave over is shared among all that still have capacity.
    for name in sorted(masks, key=lambda name: Fraction(capacity[name], share[name])):
        quotas[name] = min(Fraction(capacity[name]), left * share[name] / shares)
        left, shares = left - quotas[name], shares - share[name]
    counts = {name: int(quotas[name]) for name in masks}
    by_remainder = sorted(masks, key=lambda name: counts[name] - quotas[name])  # stable: ties stay in order
    for name in by_remainder[: keep - sum(counts.values())]:
        counts[name] += 1
    return counts


def total(keep: int | Mapping[str, int]) -> int:
    """Return the number of weights to be kept in all."""
    return sum(keep.values()) if isinstance(keep, Mapping) else keep
