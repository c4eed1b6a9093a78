"""Slurm jobs as workers: one for each round, submitted at once by submitit, each after its parent's. Imports no torch.

Slurm starts a job again that was preempted, whose node failed, or whose time was nearly over: our exit code 75.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lth.config import require
from lth.errors import UsageError, require_package
from lth.hashes import of_json
from lth.launch import sent
from lth.launch.graph import Round, resources
from lth.launch.schedule import CRASHED, FINISHED, Ended, Engine, Note, Schedule
from lth.launch.work import work
from lth.training.experiment import Experiment
from lth.tree.store import Store

# States of a job that is still to end.
ALIVE = {
    "PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "PREEMPTED", "STOPPED",
}  # fmt: skip
LOOK = 2.0  # seconds between looks at the queue
# After srun: 69 another process trains the round, 75 it is saved, 138 and 143 USR1 or TERM came before training began.
AGAIN = ["code=$?", 'case $code in 69|75|138|143) scontrol requeue "$SLURM_JOB_ID" ;; esac', "exit $code"]


class Slurm(Engine):
    """Each round is a job that begins after its parent's. Jobs go on when the driver leaves, which may find them again.

    Args:
        experiments: those that the rounds' numbers name; their outputs folder is one that all nodes see.
        partition: None: Slurm's default.
        time: minutes after which a job stores a checkpoint and is queued again.
        threads: CPU cores of a round, on each device.
        gpus: of a round.
        memory: GB of a round; None: Slurm's default.
        wait: whether the driver waits for the jobs; else it leaves when they are submitted.
        more: further options of ``sbatch``, such as ``{"account": "me"}``.

    Raises:
        UsageError: submitit or Slurm is missing, or an experiment asks for several devices.
    """

    stopped = "the submitted jobs go on; scancel -n NAME ends one"

    def __init__(
        self, experiments: Sequence[Experiment], partition: str | None = None, time: int = 60, threads: int = 1, gpus: int = 0,
        memory: float | None = None, wait: bool = True, more: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        require_package("submitit", "hydra/launcher=slurm", "slurm")
        if not shutil.which("sbatch"):
            raise UsageError("hydra/launcher=slurm needs Slurm: there is no command sbatch here.")
        devices, _ = resources(experiments)
        require(devices == 1, "trainer.devices", devices, "1 with hydra/launcher=slurm")
        self.experiments, self.threads, self.waits = experiments, threads, wait
        self.outputs = Path(experiments[0].config.outputs).resolve()
        self.store, self.folder = Store(self.outputs), self.outputs / "launch"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.files: dict[int, Path] = {}  # of experiments, written once
        self.jobs: dict[str, str] = {}  # key -> number of its last job
        self.running = 0
        import submitit

        self.executor = submitit.SlurmExecutor(self.folder / "%j")
        own = {"partition": partition, "mem": f"{memory:g}GB" if memory else None, "gpus_per_node": gpus or None}
        self.executor.update_parameters(
            time=time, ntasks_per_node=1, cpus_per_task=threads, teardown=AGAIN, **{k: v for k, v in own.items() if v is not None}
        )
        self.more = {"signal": "USR1@60", "requeue": True, "kill-on-invalid-dep": "yes", **(more or {})}

    def workers(self) -> int:
        return max(1, self.running)

    def train(self, schedule: Schedule, note: Note = lambda ended: None) -> None:
        while True:
            queued = self._queue()
            self._enter(schedule, queued, note)
            settled = schedule.finished | schedule.lost | schedule.failed.keys()
            for key, r in schedule.rounds.items():
                if key not in queued and key not in settled:
                    queued[key] = self._submit(r, queued.get(r.parent) if r.parent not in schedule.finished else None), "PENDING"
            if not queued:
                break
            if not self.waits:
                print(
                    f"{len(queued)} rounds are queued; the same command submits what is missing then, and shows what is finished."
                )
                return
            time.sleep(LOOK)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _enter(self, schedule: Schedule, queued: dict[str, tuple[str, str]], note: Note) -> None:
        """Enter which rounds are running, and which ended since the last look."""
        running = {key for key, (_, state) in queued.items() if state in ("RUNNING", "COMPLETING")}
        done = {folder.name.rpartition("-")[2] for folder in self.store.finished()}
        self.running, ended = len(running), []
        for key, r in schedule.rounds.items():
            if key in queued:
                schedule.begin(key) if key in running else schedule.running.pop(key, None)
            elif key not in schedule.finished and (key in done or (key in self.jobs and (r.parent is None or r.parent in done))):
                schedule.begin(key)
                end = self._ended(r, key in done)
                ended.append((end, schedule.ended(end)))
        self.jobs = {key: job for key, (job, _) in queued.items()}
        note(ended)

    def _ended(self, r: Round, finished: bool) -> Ended:
        """Return how the last job of a round ended, as Slurm tells for some minutes."""
        job = self.jobs.get(r.key, "")
        told = dict(re.findall(r"(\w+)=(\S+)", _output("scontrol", "show", "job", job, "-o") if job else ""))
        code, _, number = told.get("ExitCode", f"{CRASHED}:0").partition(":")
        failed = -int(number) if int(number or 0) else int(code) or CRASHED
        times = [_seconds(told.get(name, "")) for name in ("StartTime", "EndTime")]
        return Ended(r.key, f"{told.get('NodeList', 'slurm')}:{job}", *times, FINISHED if finished else failed)

    def _queue(self) -> dict[str, tuple[str, str]]:
        """Return the number and the state of each round's job."""
        lines = _output("squeue", "--me", "-h", "-t", "all", "-o", "%i %j %T").splitlines()
        jobs = [line.split() for line in lines if line.count(" ") == 2]
        return {self._names[name]: (job, state) for job, name, state in jobs if name in self._names and state in ALIVE}

    @cached_property
    def _names(self) -> dict[str, str]:
        """The key of each round by the name of its jobs."""
        return {_name(self.outputs, spec.key): spec.key for experiment in self.experiments for spec in experiment.rounds()}

    def _submit(self, r: Round, parent: tuple[str, str] | None) -> str:
        """Submit the job of a round, after its parent's if that is queued; return its number."""
        after = {"dependency": f"afterok:{parent[0]}"} if parent else {}
        self.executor.update_parameters(job_name=_name(self.outputs, r.key), additional_parameters=self.more | after)
        job = self.executor.submit(enter, str(self._file(r.experiment)), r.key, self.threads, sys.argv)
        self.jobs[r.key] = job.job_id
        return job.job_id

    def _file(self, number: int) -> Path:
        """Return the file of an experiment, which its jobs read."""
        if number not in self.files:
            self.files[number] = sent.write(self.experiments[number], self.folder)
        return self.files[number]


def enter(path: str, key: str, threads: int, command: list[str]) -> None:
    """Train a round in a Slurm job, and end with its exit code. ``command`` is the driver's, for the record."""
    import torch

    torch.set_num_threads(threads)
    sys.argv = command
    if code := work(sent.read(Path(path)), key):
        sys.exit(code)  # no exception: submitit would write it down as the job's result


def _name(outputs: Path, key: str) -> str:
    return f"lth-{key}-{of_json(str(outputs))[:8]}"


def _seconds(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return time.time()


def _output(*command: str) -> str:
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | {"SLURM_TIME_FORMAT": "standard"}
    ).stdout
