"""How long a study takes: from finished rounds of its networks, or from a few steps of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lth.config import Logger
from lth.launch.graph import Cost, cost, typical, unite
from lth.training import search
from lth.training.experiment import ImageExperiment, Say
from lth.tree.record import Record

STEPS = 6  # of training that are timed


def timed(experiment: ImageExperiment) -> Cost:
    """Train a few steps of a dense network and of a ticket, in a folder that is removed again; return what rounds cost.

    Features of frozen blocks are computed for all images, and kept where the study finds them.
    """
    splits, config = experiment.splits, experiment.config
    count = config.data.batch_size
    parts = {"train": STEPS * count, "val": count, "test": count}
    few = {name: _spread(getattr(splits, name), most) for name, most in parts.items()}
    with TemporaryDirectory() as folder:
        prune = replace(config.prune, rounds=1, controls="none", control_rounds="all")
        config = replace(config, epochs=1, outputs=str(Path(folder)), prune=prune, logger=Logger("none"))
        *_, ticket = search.rounds(replace(experiment, config=config, splits=replace(splits, **few)), _nothing, "timing, ")
    return cost(ticket, {name: len(getattr(splits, name)) for name in parts})


def _nothing(line: str) -> None:
    """Say nothing."""


def _spread(indices: np.ndarray, most: int) -> np.ndarray:
    return indices[np.unique(np.linspace(0, len(indices) - 1, min(most, len(indices))).astype(int))]


def measured(rows: Mapping[str, ImageExperiment], records: Sequence[Record], say: Say) -> dict[str, Cost]:
    """Return, by family of rounds, what they cost, and say it: of finished rounds the median, else of a timing."""
    costs = {}
    for name, experiment in rows.items():
        [family] = {spec.family for spec in experiment.tickets()}
        own = [cost(r) for r in records if r.family == family]
        basis = f"from {len(own)} finished rounds" if own else f"from {STEPS} steps"
        costs[family] = one = typical(own) if own else timed(experiment)
        say(f"{name}: {one.epoch:.2g} s an epoch, {one.once:.2g} s a round beside that ({basis})")
    return costs


def seconds(experiments: Sequence[ImageExperiment], records: Sequence[Record], costs: Mapping[str, Cost]) -> float:
    """Return how long the rounds take that are not finished."""
    finished = {record.key for record in records}
    return sum(costs[r.family].of(r.epochs) for r in unite(experiments)[0] if r.key not in finished)
