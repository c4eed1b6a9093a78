"""Ray's workers, on one machine or a cluster. Imports neither torch nor, before there is an engine, Ray."""

import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from lth.config import require
from lth.errors import UsageError, require_package
from lth.launch.graph import Round, resources
from lth.launch.schedule import CRASHED, Ended, Pool
from lth.launch.work import work
from lth.training.experiment import Experiment

LOOK = 2.0  # seconds between looks at the nodes


class Ray(Pool):
    """Each round is a Ray task. Those that are ready are submitted as long as the cluster has room, so that their order is ours.

    Args:
        experiments: those that the rounds' numbers name.
        address: of a cluster, or ``auto``; None: Ray is started on this machine, and stopped at the end.
        threads: CPU cores of a task.
        gpus: of a task; None: one for each device that it trains on, unless all train on the CPU.
        memory: GB of a task; None: Ray does not count it.

    Raises:
        UsageError: Ray is not installed, the cluster cannot be reached, or no node has what a task needs.
    """

    def __init__(
        self, experiments: Sequence[Experiment], address: str | None = None, threads: int = 1, gpus: float | None = None,
        memory: float | None = None,
    ) -> None:  # fmt: skip
        require_package("ray", "hydra/launcher=ray", "ray")
        require(threads >= 1, "hydra.launcher.threads", threads, "a number at least 1")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do, without its warning
        import ray

        self.ray, self.threads = ray, threads
        options = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": None if address else False}
        try:
            ray.init(address or "local", **options)
        except ConnectionError as error:
            raise UsageError(f"hydra.launcher.address={address} is not accepted: {str(error).splitlines()[0]}") from error
        devices, on_cpu = resources(experiments)
        if gpus is None:
            gpus = 0 if on_cpu or not ray.cluster_resources().get("GPU") else devices
        self.needs = {"CPU": threads * (1 if gpus else devices), "GPU": gpus, "memory": (memory or 0) * 1e9}
        self.experiments = [ray.put(experiment) for experiment in experiments]
        self.task = ray.remote(num_cpus=self.needs["CPU"], num_gpus=gpus, memory=self.needs["memory"] or None, max_retries=0)(
            enter
        )
        self.running: dict[Any, tuple[str, float]] = {}  # by reference of the task
        self._slots, self._looked = 0, 0.0
        if not self.free():
            raise UsageError(f"no node of the Ray cluster has what a round needs: {self.needs}.")

    def workers(self) -> int:
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._slots = sum(self._fit(node["Resources"]) for node in self.ray.nodes() if node["Alive"])
        return self._slots

    def free(self) -> int:
        return max(0, self.workers() - len(self.running))

    def _fit(self, resources: dict[str, float]) -> int:
        return min(int(resources.get(name, 0) / need + 1e-9) for name, need in self.needs.items() if need)

    def start(self, r: Round) -> None:
        reference = self.task.remote(self.experiments[r.experiment], r.key, self.threads, sys.argv)
        self.running[reference] = r.key, time.time()

    def wait(self, seconds: float) -> list[Ended]:
        if not self.running:
            time.sleep(seconds)
            return []
        done, _ = self.ray.wait(list(self.running), num_returns=1, timeout=seconds)
        return [self._end(reference) for reference in done]

    def _end(self, reference: Any) -> Ended:
        key, begin = self.running.pop(reference)
        try:
            worker, begin, code = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:  # the worker, its node or its memory is gone
            worker, code = type(error).__name__, CRASHED
            self._looked = 0.0
        return Ended(key, worker, begin, time.time(), code)

    def stop(self) -> None:
        for reference in self.running:
            self.ray.cancel(reference, force=False)
        if self.running:
            self.ray.wait(list(self.running), num_returns=len(self.running), timeout=60)
        self.ray.shutdown()


def enter(experiment: Experiment, key: str, threads: int, command: list[str]) -> tuple[str, float, int]:
    """Train a round in a worker of Ray; return the worker's name, when it began, and the exit code.

    ``command`` is the driver's, for the record.
    """
    import torch

    sys.argv = command
    torch.set_num_threads(threads)
    begin = time.time()
    return f"{os.uname().nodename}:{os.getpid()}", begin, work(experiment, key)
