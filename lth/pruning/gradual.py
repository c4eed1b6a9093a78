"""Gradual magnitude pruning: how many weights are kept while a network trains (Zhu & Gupta 2017, arXiv 1710.01878)."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from lth.config import Prune, require
from lth.pruning import masks as M
from lth.pruning.allocation import Keep


@dataclass(frozen=True)
class Schedule:
    """Prunings during a training: ``times`` of them, ``every`` iterations, the first one so long after iteration ``begin``."""

    begin: int
    every: int
    times: int

    @property
    def last(self) -> int:
        """The iteration of the last pruning."""
        return self.begin + self.every * self.times

    def keep(self, dense: Keep, final: Keep, iteration: int) -> Keep:
        """Return how many weights are kept after an iteration, over all layers or in each: from ``dense`` to exactly ``final``.

        Equation 1 of the paper (section 3): the part of the pruning that is still to come is the cube of that of the time.
        """
        if isinstance(final, Mapping):
            return {name: self.keep(dense[name], count, iteration) for name, count in final.items()}
        done = min(max(iteration - self.begin, 0) // self.every, self.times)
        return final + round((dense - final) * Fraction(self.times - done, self.times) ** 3)


def schedule(prune: Prune, iterations: int) -> Schedule:
    """Return the schedule of a training of so many iterations. Raises UsageError where it would never prune."""
    begin, end = round(prune.begin * iterations), round(prune.end * iterations)
    times = (end - begin) // prune.every
    require(times, "prune.every", prune.every, f"at most {end - begin}, since pruning may last from iteration {begin} to {end}")
    return Schedule(begin, prune.every, times)


def dense(masks: M.Masks, final: Keep) -> Keep:
    """Return how many weights ``masks`` have, kept or not: over all layers, or in each if ``final`` is a number for each."""
    return {name: mask.numel() for name, mask in masks.items()} if isinstance(final, Mapping) else M.size(masks)
