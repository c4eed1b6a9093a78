"""Processes of this machine as workers. Imports no torch."""

import glob
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait

from lth.config import require
from lth.launch.graph import Round, resources
from lth.launch.schedule import CRASHED, Ended, Pool
from lth.launch.work import work
from lth.training.experiment import Experiment

GRACE = 60.0  # seconds in which a worker that is asked to stop saves its checkpoint
PRELOADED = ["hydra", "lth.training.round", "lth.training.images", "lth.launch.work"]  # where workers are forked from


@dataclass
class Worker:
    """A place for one process, with the GPUs that it may use; ``key`` is the round that it trains."""

    name: str
    gpus: str = ""
    process: multiprocessing.Process | None = None
    key: str = ""
    begin: float = 0.0


class Local(Pool):
    """Workers on this machine, each round in a process of its own, forked from one that has imported torch.

    Args:
        experiments: those that the rounds' numbers name.
        workers: how many rounds are trained at a time; None: one for each GPU, or cores / threads.
        threads: of each worker on the CPU.
        memory: GB that a worker needs; there are not more workers than fit the machine's. None: no limit.
    """

    def __init__(
        self, experiments: Sequence[Experiment], workers: int | None = None, threads: int = 1, memory: float | None = None
    ) -> None:
        require(workers is None or workers >= 1, "hydra.launcher.workers", workers, "a number at least 1, or null")
        require(threads >= 1, "hydra.launcher.threads", threads, "a number at least 1")
        self.experiments, self.threads = experiments, threads
        each, on_cpu = resources(experiments)
        gpus = [] if on_cpu else gpus_here()
        count = workers or (len(gpus) // each if gpus else max(1, len(os.sched_getaffinity(0)) // threads))
        if memory is not None:
            count = max(1, min(count, int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 / memory)))
        dealt = [gpus[i * each % len(gpus) :][:each] if gpus else [] for i in range(count)]
        self.places = [Worker(f"{os.uname().nodename}:{i}", ",".join(dealt[i])) for i in range(count)]
        self.warm = False  # whether the process that forks the workers has its imports
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOADED)

    def workers(self) -> int:
        return len(self.places)

    def free(self) -> int:
        return sum(worker.process is None for worker in self.places)

    def start(self, r: Round) -> None:
        if not self.warm:  # the time of its imports is that of no round
            self._process(int).join()
            self.warm = True
        worker = next(worker for worker in self.places if worker.process is None)
        worker.key, worker.begin = r.key, time.time()
        worker.process = self._process(enter, self.experiments[r.experiment], r.key, self.threads, worker.gpus)

    def _process(self, target: Callable[..., object], *args: object) -> multiprocessing.Process:
        """Start a process that calls ``target``."""
        process = self.context.Process(target=target, args=args)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = str(self.threads)  # read when torch is imported: the first start begins the fork server
        try:
            process.start()
        finally:
            os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)
        return process

    def wait(self, seconds: float) -> list[Ended]:
        busy = {worker.process.sentinel: worker for worker in self.places if worker.process}
        if not busy:
            time.sleep(seconds)
        return [self._end(busy[sentinel]) for sentinel in wait(list(busy), seconds)]

    def _end(self, worker: Worker) -> Ended:
        worker.process.join()
        code, worker.process = worker.process.exitcode, None
        if code == 255:  # what Python says when the process that forks was killed: the worker may go on, and holds its lock
            code = CRASHED
        return Ended(worker.key, worker.name, worker.begin, time.time(), code)

    def stop(self) -> None:
        for worker in self.places:
            if worker.process:
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)
        for worker in self.places:
            if worker.process:
                worker.process.join(GRACE)
                worker.process.kill()
                self._end(worker)


def enter(experiment: Experiment, key: str, threads: int, gpus: str) -> None:
    """Train a round in a process that was forked for it, and end with its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the driver acts
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
    import torch

    torch.set_num_threads(threads)
    os._exit(work(experiment, key))


def gpus_here() -> list[str]:
    """Return the numbers, or names, of the NVIDIA GPUs that this process may use."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name not in ("", "-1")]
    return sorted(re.sub(r"\D", "", path) for path in glob.glob("/dev/nvidia[0-9]*"))
