"""Hydra's launchers ``local``, ``ray`` and ``slurm``: ``-m hydra/launcher=local``. Imports no torch.

Hydra looks for plugins in the namespace package ``hydra_plugins``, so ``lth.run`` puts the folder above it on the path.
"""

import math
from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from lth.cli import sweep, usage
from lth.config import Config


class GraphLauncher(Launcher):
    """Trains the rounds of all jobs of a sweep as one graph; ``name`` says on which engine."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name, self.options = name, options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from lth.launch import jobs

        configs = [self._compose(overrides) for overrides in job_overrides]
        if isinstance(configs[0], Config) and configs[0].study.models:
            self._study(configs[0])
            return [JobReturn(job_overrides[0], status=JobStatus.COMPLETED, _return_value=math.nan)]
        if usage.dry():
            jobs.plan(configs, initial_job_idx)
        scores = [math.nan] * len(configs) if usage.dry() else jobs.run(configs, self.name, dict(self.options), initial_job_idx)
        return [JobReturn(overrides, status=JobStatus.COMPLETED, _return_value=s) for overrides, s in zip(job_overrides, scores)]

    def _study(self, config: Config) -> None:
        from lth.study import command

        try:
            command.start(config, self.name, dict(self.options))
        except Exception as error:
            sweep.failed(error)

    def _compose(self, overrides: Sequence[str]) -> Config | Exception:
        """Return the configuration of a job, or why there is none, which does not stop the other jobs."""
        try:
            composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(composed):
                del composed["hydra"]
            return usage.config(composed)
        except Exception as error:
            return usage.refusal(error)
