"""A study of Optuna: which values were tried, and what they scored. Imports optuna when there is one."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lth import seeds
from lth.launch import ranges

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

SAMPLERS = {"tpe": "TPESampler", "random": "RandomSampler"}
FILE = "optuna.journal"  # in outputs; unlike SQLite, it may lie on a shared file system


class Study:
    """Trials over a space of values.

    Args:
        space: what the values of each key are drawn from.
        direction: ``maximize`` or ``minimize``.
        sampler: a key of SAMPLERS.
        seed: of the sampler.
        name: of the study; one of that name and place continues.
        place: a journal file, the URL of a database, or None: the study is not kept.
    """

    def __init__(
        self,
        space: "Mapping[str, BaseDistribution]",
        direction: str,
        sampler: str,
        seed: int,
        name: str,
        place: Path | str | None,
    ) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            place = optuna.storages.JournalStorage(JournalFileBackend(str(place)))
        self.study = optuna.create_study(storage=place, study_name=name, direction=direction, load_if_exists=True)
        self.space, self.sampler, self.seed = space, getattr(optuna.samplers, SAMPLERS[sampler]), seed

    def trials(self, *states: str) -> "list[FrozenTrial]":
        """Return the trials in ``states``, such as COMPLETE, FAIL and RUNNING, or all; those of other spaces count as well."""
        return [t for t in self.study.get_trials(deepcopy=False) if not states or t.state.name in states]

    def ask(self, count: int) -> "list[FrozenTrial]":
        """Return trials to train: first those that a stopped command left, so that their rounds are finished, then new ones."""
        while len(left := [t for t in self.trials("RUNNING") if t.distributions == self.space]) < count:
            # Drawn by the number of the trial, so that a study that was stopped asks for the same values as one that was not.
            self.study.sampler = self.sampler(seed=seeds.stream("trial", self.seed, len(self.trials())) % 2**32)
            self.study.ask(self.space)
        return left[:count]

    def tell(self, trial: "FrozenTrial", score: float) -> None:
        """Note what a trial scored, that it failed (not a finite number), or neither where another command has done so."""
        from optuna.trial import TrialState

        value, state = (score, TrialState.COMPLETE) if math.isfinite(score) else (None, TrialState.FAIL)
        self.study.tell(trial.number, value, state, skip_if_finished=True)

    def overrides(self, trial: "FrozenTrial") -> list[str]:
        """Return the values of a trial, such as ``prune.rate=0.2316``."""
        return [f"{key}={ranges.text(value, trial.distributions[key])}" for key, value in trial.params.items()]
