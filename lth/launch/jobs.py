"""The jobs of ``lth.run -m`` with a launcher: trained as one graph, then shown as one experiment. Imports no torch."""

import math
from collections.abc import Sequence
from typing import Any

from lth.cli import sweep as failures
from lth.config import Config
from lth.data import overview
from lth.data.split import Splits
from lth.launch import sweep
from lth.training.experiment import ImageExperiment, Say
from lth.training.search import score
from lth.tree.record import Record

_planned: list[ImageExperiment] = []  # of a command with --dry-run


def run(configs: Sequence[Config | Exception], launcher: str, options: dict[str, Any], first: int = 0) -> list[float]:
    """Train the rounds of all jobs, print their tables and the verdict, and return each job's score, NaN if it failed.

    Args:
        configs: of the jobs, or why a job has none.
        first: number of the first job.
    """
    experiments = prepare(configs, first)
    made = [experiment for experiment in experiments if experiment]
    if not made:
        return [math.nan] * len(experiments)
    for error in sweep.train(made, launcher, options):
        failures.failed(error)
    found = iter(sweep.finish(made))
    records = [next(found) if experiment else [] for experiment in experiments]
    if every := list({record.key: record for job in records for record in job}.values()):
        from lth.tracking import job

        job.show(made[-1].config, every, failures.collect(every))
    return [_score(experiment, job) for experiment, job in zip(experiments, records)]


def prepare(configs: Sequence[Config | Exception], first: int, say: Say = print) -> list[ImageExperiment | None]:
    """Return the experiments of jobs, None where that fails, which is reported at the end; images are prepared once."""
    experiments: list[ImageExperiment | None] = []
    known: dict[str, Splits] = {}
    for number, config in enumerate(configs):
        try:
            if isinstance(config, Exception):
                raise config
            before = len(known)
            experiments.append(ImageExperiment.of(config, known))
            experiments[-1].rounds()
            if len(known) > before:
                overview.tell(experiments[-1].splits, config.data, say)
        except Exception as error:
            failures.failed(error, f"job {first + number} failed: ")
            experiments = [*experiments[:number], None]
    return experiments


def plan(configs: Sequence[Config | Exception], first: int = 0) -> None:
    """Note the jobs of a command with --dry-run."""
    _planned.extend(experiment for experiment in prepare(configs, first, lambda line: None) if experiment)


def outline() -> str:
    """Return what the noted jobs would train, '' where none could be noted, and forget them."""
    text = sweep.outline(_planned) if _planned else ""
    _planned.clear()
    return text


def _score(experiment: ImageExperiment | None, records: list[Record]) -> float:
    return score(experiment.config, records) if experiment and len(records) == len(experiment.rounds()) else math.nan
