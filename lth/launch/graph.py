"""The rounds that a sweep asks for, each once, and how long they take. Pure functions; imports no torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lth.training.experiment import Experiment
from lth.tree.record import Record
from lth.tree.spec import Spec

FORWARD = 1 / 3  # the time of an image that is scored, by that of one that is trained on


@dataclass(frozen=True)
class Round:
    """A training of a sweep.

    Args:
        key: of its spec.
        parent: key of the round that has to be finished before; None: it can start at once.
        title: such as ``round 3/8 seed 1``.
        epochs: of its training.
        family: rounds of one family take equally long for an epoch.
        experiment: number of the first experiment that asks for it.
    """

    key: str
    parent: str | None = None
    title: str = ""
    epochs: int = 1
    family: str = ""
    experiment: int = 0


def unite(experiments: Sequence[Experiment]) -> tuple[list[Round], int]:
    """Return the rounds of all experiments, each key once, parents first; and how many the experiments ask for together."""
    rounds: dict[str, Round] = {}
    asked = 0
    for number, experiment in enumerate(experiments):
        specs = experiment.rounds()
        asked += len(specs)
        last, family = max(spec.index for spec in specs), specs[0].family
        for spec in specs:
            if spec.key not in rounds:
                rounds[spec.key] = _round(spec, number, last, experiment.config.seed, family)
    return list(rounds.values()), asked


def _round(spec: Spec, number: int, last: int, seed: int, family: str) -> Round:
    title = f"round {spec.index}/{last}{f' {spec.control}' if spec.control else ''} seed {seed}"
    return Round(spec.key, spec.parent.key if spec.parent else None, title, spec.epochs, family, number)


def resources(experiments: Sequence[Experiment]) -> tuple[int, bool]:
    """Return on how many devices the largest round trains, and whether all of them train on the CPU."""
    trainers = [experiment.config.trainer for experiment in experiments]
    return max(t.devices for t in trainers), all(t.accelerator == "cpu" for t in trainers)


@dataclass(frozen=True)
class Cost:
    """Seconds of a round: ``once``, for its start, tests and files, and for each epoch."""

    once: float
    epoch: float

    def of(self, epochs: int) -> float:
        return self.once + epochs * self.epoch


def cost(record: Record, images: Mapping[str, int] | None = None) -> Cost:
    """Return what rounds cost that have as many ``images`` (train, val, test) as given, by a record of fewer or as many."""
    if not record.images_per_second:  # of a module of one's own
        return Cost(0.0, record.seconds / record.epochs)
    each, own = 1 / record.images_per_second, record.images
    images = images or own
    epoch = each * (own["train"] + FORWARD * own["val"])
    once = max(0.0, record.seconds - record.epochs * epoch) + each * (images["test"] - own["test"])  # scored up to 3 times
    return Cost(once, each * (images["train"] + FORWARD * images["val"]))


def typical(costs: Sequence[Cost]) -> Cost:
    """Return the medians of several costs."""
    return Cost(median(c.once for c in costs), median(c.epoch for c in costs))


def costs(rounds: Iterable[Round], records: Sequence[Record]) -> tuple[dict[str, float], int]:
    """Return the expected seconds of each round, and how many finished rounds they were measured on.

    Measured is what rounds of the same family took, or else all. Where nothing is measured, the costs are epochs.
    """
    measured: dict[str, list[Cost]] = defaultdict(list)
    for record in records:
        measured[record.family].append(cost(record))
    family = {name: typical(own) for name, own in measured.items()}
    other = typical([one for own in measured.values() for one in own] or [Cost(0.0, 1.0)])
    return {r.key: family.get(r.family, other).of(r.epochs) for r in rounds}, len(records)


def paths(rounds: Sequence[Round], cost: Mapping[str, float]) -> dict[str, float]:
    """Return, for each round, the cost of the longest chain of rounds that begins with it. ``rounds``: parents first."""
    longest: dict[str, float] = defaultdict(float)  # among the children
    result = {}
    for r in reversed(rounds):
        result[r.key] = cost[r.key] + longest[r.key]
        if r.parent is not None:
            longest[r.parent] = max(longest[r.parent], result[r.key])
    return result
