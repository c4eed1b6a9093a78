"""Hydra's sweeper ``optuna``: ``-m hydra/sweeper=optuna 'prune.rate=interval(0.1,0.5)'``. Imports optuna when it sweeps.

The plugin hydra-optuna-sweeper 1.3.0 requires optuna<3, and stops where a trial fails. This one asks a study for values, launches
them as jobs, and gives the study their scores.
"""

import math
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from lth.cli import signals, sweep, usage
from lth.config import require
from lth.errors import UsageError, require_package
from lth.hashes import of_json
from lth.launch import ranges
from lth.launch.study import FILE, SAMPLERS, Study


class OptunaSweeper(Sweeper):
    """Trains the trials of a study; conf/hydra/sweeper/optuna.yaml says what the options are."""

    def __init__(
        self, n_trials: int, n_jobs: int, direction: str, sampler: str, seed: int, study_name: str | None, storage: str | None,
        params: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.n_trials, self.n_jobs, self.direction, self.sampler, self.seed = n_trials, n_jobs, direction, sampler, seed
        self.study_name, self.storage, self.params = study_name, storage, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.config = hydra_context, config
        plugins = Plugins.instance()
        self.launcher = plugins.instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> None:
        """Train until the study has ``n_trials`` trials, then print the best one. Raises UsageError."""
        self._check()
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides([*(f"{key}={value}" for key, value in self.params.items()), *arguments])
        last = {override.get_key_element(): override for override in given}  # as everywhere, the later one wins
        self.fixed = [override.input_line for override in last.values() if not override.is_sweep_override()]
        space = {key: ranges.distribution(override) for key, override in last.items() if override.is_sweep_override()}
        if not space:
            raise UsageError("hydra/sweeper=optuna needs a key with several values, such as prune.rate=interval(0.1,0.5).")
        study = self._study(space)
        if usage.dry():  # without scores all trials are drawn as the first ones are
            self.launcher.launch([[*self.fixed, *study.overrides(trial)] for trial in study.ask(self.n_trials)], 0)
            return
        self._train(study)
        if not signals.asked():
            self._show(study)

    def _check(self) -> None:
        require_package("optuna", "hydra/sweeper=optuna", "optuna")
        for name, least in (("n_trials", 1), ("n_jobs", 1), ("seed", 0)):
            value = getattr(self, name)
            require(isinstance(value, int) and value >= least, f"hydra.sweeper.{name}", value, f"a number at least {least}")
        for name, choices in (("direction", ("maximize", "minimize")), ("sampler", SAMPLERS)):
            value = getattr(self, name)
            require(value in choices, f"hydra.sweeper.{name}", value, f"one of {', '.join(choices)}")

    def _study(self, space: dict[str, Any]) -> Study:
        """Return the study of these values and all else that the command asks for. Raises what Hydra does if that is nothing."""
        one = [f"{key}={ranges.first(values)}" for key, values in space.items()]
        job = self.hydra_context.config_loader.load_sweep_config(self.config, [*self.fixed, *one])
        content = {key: value for key, value in OmegaConf.to_container(job).items() if key not in ("hydra", "outputs")}
        content |= {"space": {key: repr(values) for key, values in space.items()}, "direction": self.direction}
        name, place = self.study_name or f"lth-{of_json(content)[:8]}", self.storage or Path(job.outputs) / FILE
        self.where = f"{name} in {'hydra.sweeper.storage' if self.storage else place}"  # a URL may hold a password
        return Study(space, self.direction, self.sampler, self.seed, name, None if usage.dry() else place)

    def _train(self, study: Study) -> None:
        """Launch as many trials as the study lacks; one that fails is lacking when the command is repeated."""
        done, missing = 0, self.n_trials - len(study.trials("COMPLETE"))
        while done < missing and not signals.asked():
            trials = study.ask(min(self.n_jobs, missing - done))
            jobs = {trial.number: [*self.fixed, *study.overrides(trial)] for trial in trials}
            legal = [number for number, job in jobs.items() if self._composes(number, job)]  # Hydra's launcher would stop
            first = self.n_trials - missing + done  # after those of earlier commands
            returns = self.launcher.launch([jobs[number] for number in legal], first) if legal else []
            scores = {number: _score(number, result) for number, result in zip(legal, returns)}
            for trial in trials:
                score = scores.get(trial.number, math.nan)
                if math.isfinite(score) or not signals.asked():  # else it was stopped: the next command begins with it
                    study.tell(trial, score)
                    print(f"trial {trial.number:<6} {_outcome(score)}: {' '.join(study.overrides(trial))}")
            done += len(trials)

    def _composes(self, number: int, job: list[str]) -> bool:
        try:
            self.validate_batch_is_legal([job])
        except Exception as error:
            sweep.failed(usage.refusal(error), f"trial {number} failed: ")
            return False
        return True

    def _show(self, study: Study) -> None:
        """Print the best trial, the command that repeats it, and where the study is."""
        if complete := study.trials("COMPLETE"):
            best = (max if self.direction == "maximize" else min)(complete, key=lambda trial: trial.value)
            options = [word for word in sys.argv[1:] if word[0] == "-" or not set("=~") & set(word)]  # such as --config-dir mine
            options = [word for word in options if word not in ("-m", "--multirun")]
            again = [*options, *self.fixed, *study.overrides(best)]
            title, values = f"best of {len(complete)}", " ".join(study.overrides(best))
            print(f"{title:<12} trial {best.number}, {_outcome(best.value)}: {values}")
            print(f"repeat it    python -m lth.run {shlex.join(again)}")
        print(f"study        {self.where}")


def _score(number: int, result: JobReturn) -> float:
    """Return what a job returned, NaN if it raised, as jobs of other launchers may."""
    try:
        return float(result.return_value)
    except Exception as error:
        sweep.failed(error, f"trial {number} failed: ")
        return math.nan


def _outcome(score: float) -> str:
    return f"score {score:.4f}" if math.isfinite(score) else "failed"
