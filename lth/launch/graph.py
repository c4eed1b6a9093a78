"""The rounds that a sweep asks for, each once, and how long they take. Pure functions; imports no torch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from lth.training.experiment import Experiment
from lth.tree.record import Record
from lth.tree.spec import Spec


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


def costs(rounds: Iterable[Round], records: Iterable[Record]) -> tuple[dict[str, float], int]:
    """Return the expected seconds of each round, and how many finished rounds they were measured on.

    Measured is the median time of an epoch, in the same family or else in all. Where nothing is measured, the costs are epochs.
    """
    measured: dict[str, list[float]] = defaultdict(list)
    for record in records:
        measured[record.family].append(record.seconds / record.epochs)
    typical = median([s for family in measured.values() for s in family] or [1.0])
    epoch = {family: median(seconds) for family, seconds in measured.items()}
    return {r.key: r.epochs * epoch.get(r.family, typical) for r in rounds}, sum(map(len, measured.values()))


def paths(rounds: Sequence[Round], cost: Mapping[str, float]) -> dict[str, float]:
    """Return, for each round, the cost of the longest chain of rounds that begins with it. ``rounds``: parents first."""
    longest: dict[str, float] = defaultdict(float)  # among the children
    result = {}
    for r in reversed(rounds):
        result[r.key] = cost[r.key] + longest[r.key]
        if r.parent is not None:
            longest[r.parent] = max(longest[r.parent], result[r.key])
    return result
