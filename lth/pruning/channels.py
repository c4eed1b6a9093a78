"""Groups of coupled channels: their magnitudes, the masks that remove some of them, and how many are left. Pure functions.

A channel is what layers hand on: an output of a convolution, of a linear layer or of a BatchNorm. Channels that can be removed
only together, such as those of two branches that are added, are one channel of one group, which lists every place where it is
written (``out``: a row of a weight) or read (``in``: a column). ``lth.pruning.coupling`` finds the groups of a network.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from lth.errors import UsageError
from lth.pruning.masks import Masks, keep_top, kept_after

Keep = list[Tensor]  # for each group, bool (channels), True = kept


@dataclass(frozen=True)
class Slice:
    """The places of a group's channels in one module: position ``begin + i`` is of channel ``(first + i // each) % channels``.

    Args:
        module: its name in the network.
        side: ``out`` or ``in``.
        begin, length: of the positions.
        first: channel of the first position.
        each: positions in a row that belong to one channel, such as the pixels of a flattened image.
        size: all outputs, or inputs, of the module.
    """

    module: str
    side: str
    begin: int
    length: int
    first: int
    each: int
    size: int


@dataclass(frozen=True)
class Group:
    """``channels`` coupled channels, numbered from 0, and where they are."""

    channels: int
    slices: tuple[Slice, ...]

    def spread(self, part: Slice, values: Tensor, other: Any) -> Tensor:
        """Return, for all positions of a module, the value of their channel; ``other`` where they are of no channel here."""
        spread = torch.full((part.size,), other, dtype=values.dtype)
        spread[part.begin : part.begin + part.length] = values[self._channel(part)]
        return spread

    def gather(self, part: Slice, values: Tensor) -> Tensor:
        """Return the sum of ``values`` (size) of a module over each channel's positions, float32 (channels)."""
        inside = values[part.begin : part.begin + part.length].float()
        return torch.zeros(self.channels).index_add_(0, self._channel(part), inside)

    def _channel(self, part: Slice) -> Tensor:
        return (part.first + torch.arange(part.length) // part.each) % self.channels


def to_json(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return groups as plain values."""
    return [asdict(group) for group in groups]


def from_json(values: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Return the groups that ``to_json`` made plain. Raises KeyError or TypeError where they are none."""
    return [Group(value["channels"], tuple(Slice(**part) for part in value["slices"])) for value in values]


def columns(shape: Sequence[int], inputs: Tensor) -> Tensor:
    """Return which columns of a weight read the marked inputs; of a shape that broadcasts to the weight's.

    Args:
        shape: of the weight (outputs, inputs / groups, ...).
        inputs: one value an input.
    """
    groups = len(inputs) // shape[1]
    rows = inputs.view(groups, 1, shape[1]).expand(-1, shape[0] // groups, -1).reshape(shape[0], shape[1])
    return rows.view(shape[0], shape[1], *[1] * (len(shape) - 2))


def over_columns(weight: Tensor, inputs: int) -> Tensor:
    """Return the sum of a weight, or of a mask, over everything that reads each input, float32 (inputs)."""
    groups = inputs // weight.shape[1]
    return weight.float().reshape(groups, weight.shape[0] // groups, weight.shape[1], -1).sum(dim=(1, 3)).flatten()


def masks(groups: Sequence[Group], keep: Keep, before: Masks) -> Masks:
    """Return masks that also prune every weight by which a channel that is not kept is written or read."""
    result = {name: mask.clone() for name, mask in before.items()}
    for group, one in zip(groups, keep, strict=True):
        for part in group.slices:
            if (mask := result.get(f"{part.module}.weight")) is None:
                continue
            left = group.spread(part, one, True)
            mask &= columns(mask.shape, left) if part.side == "in" else left.view(-1, *[1] * (mask.ndim - 1))
    return result


def kept(groups: Sequence[Group], masks: Masks) -> Keep:
    """Return which channels have a weight left by which they are written or read."""
    result = []
    for group in groups:
        count = torch.zeros(group.channels)
        for part, weight in _weights(group, masks):
            count += group.gather(part, _per_place(part, weight))
        result.append(count > 0)
    return result


def count(keep: Keep) -> int:
    """Return the number of kept channels."""
    return sum(int(one.count_nonzero()) for one in keep)


def magnitudes(groups: Sequence[Group], weights: Mapping[str, Tensor], alive: Keep | None = None) -> list[Tensor]:
    """Return each channel's group magnitude, float32 (channels): the mean over its places of the sum of its squared weights.

    Divided by the mean over the group's ``alive`` channels (None: all), so that groups of different sizes can be ranked together
    (Fang et al. 2023, arXiv 2301.12900, section 3.3). Biases and BatchNorms do not count.
    """
    result = []
    for i, group in enumerate(groups):
        total, places = torch.zeros(group.channels), 0
        for part, weight in _weights(group, weights):
            total += group.gather(part, _per_place(part, weight.detach().cpu().float().square()))
            places += 1
        total /= max(places, 1)
        mean = (total if alive is None else total[alive[i]]).mean()
        result.append(total / mean.clamp(min=torch.finfo(torch.float32).tiny))
    return result


def _weights(group: Group, weights: Mapping[str, Tensor]) -> list[tuple[Slice, Tensor]]:
    named = ((part, weights.get(f"{part.module}.weight")) for part in group.slices)
    return [(part, weight) for part, weight in named if weight is not None and weight.ndim > 1]


def _per_place(part: Slice, weight: Tensor) -> Tensor:
    return over_columns(weight, part.size) if part.side == "in" else weight.flatten(1).float().sum(1)


def keep_best(scores: Sequence[Tensor], before: Keep, number: int | Sequence[int]) -> Keep:
    """Return the ``number`` best-scored of the channels in ``before``, and at least one of each group; ties fall by position.

    Args:
        scores: for each group, float32 (channels).
        number: of channels to keep over all groups, or in each of them.

    Raises:
        ValueError: fewer are to be kept than there are groups, or more than there are.
    """
    if not isinstance(number, int):
        return [keep_best([s], [b], k)[0] for s, b, k in zip(scores, before, number, strict=True)]
    named, alive = ({str(i): t for i, t in enumerate(values)} for values in (scores, before))
    first = {name: keep_top({name: named[name]}, {name: alive[name]}, 1)[name] for name in named}
    others = keep_top(named, {name: alive[name] & ~first[name] for name in named}, number - len(first))
    return [first[name] | others[name] for name in named]


def within_budget(scores: Sequence[Tensor], before: Keep, fits: Callable[[Keep], bool]) -> Keep:
    """Return the most of the best-scored channels that fit a budget, at least one of each group.

    Args:
        fits: whether channels are within the budget; of fewer channels in the order of their scores it is true if it is of more.

    Raises:
        ValueError: not even one channel of each group fits.
    """
    least, most = len(before), count(before)
    if not fits(keep_best(scores, before, least)):
        raise ValueError("one channel of each group is more than the budget.")
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(keep_best(scores, before, middle)) else (least, middle - 1)
    return keep_best(scores, before, least)


def random_keep(keep: Keep, seed: int) -> Keep:
    """Return as many channels of each group, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    scores = [torch.rand(one.shape, generator=generator) for one in keep]
    return keep_best(scores, [torch.ones_like(one) for one in keep], [int(one.count_nonzero()) for one in keep])


def left(alive: Keep, rate: float, rounds: int, *, layerwise: bool) -> int | list[int]:
    """Return how many of the channels in ``alive`` are kept after ``rounds`` rounds: in all, or in each group, at least one."""
    if not layerwise:
        return kept_after(count(alive), rate, rounds)
    return [max(1, kept_after(int(one.count_nonzero()), rate, rounds)) for one in alive]


def prune(
    groups: Sequence[Group],
    before: Masks,
    scores: Sequence[Tensor],
    rate: float,
    rounds: int = 1,
    *,
    layerwise: bool = False,
    flops: Callable[[Masks], float] | None = None,
) -> Masks:
    """Return the masks that remove the lowest-scored channels of those that ``before`` keeps.

    Args:
        scores: for each group, float32 (channels).
        rate: fraction of the remaining channels that a round removes, above 0 and below 1.
        rounds: that are taken at once.
        layerwise: whether each group loses the same fraction, rather than the lowest of all.
        flops: of a network with masks; if given, ``rate`` is of FLOPs, and the most channels are kept that fit.

    Raises:
        UsageError: not one channel of each group would be left.
    """
    alive = kept(groups, before)
    try:
        if flops is None:
            keep = keep_best(scores, alive, left(alive, rate, rounds, layerwise=layerwise))
        else:
            most = (1 - rate) ** rounds * flops(before)
            keep = within_budget(scores, alive, lambda keep: flops(masks(groups, keep, before)) <= most)
    except ValueError as error:
        raise UsageError(
            f"prune.rate={rate:g} is not accepted here: {count(alive)} channels in {len(groups)} groups are left, and each group "
            "keeps at least one."
        ) from error
    return masks(groups, keep, before)
