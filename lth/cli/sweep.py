"""The jobs of a command, one or those of a sweep: which one runs, what they gave, and which ones failed. Imports no torch."""

from typing import Any

from hydra.conf import JobConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from lth.cli import command
from lth.errors import Interrupted

_records: dict[str, Any] = {}  # of all jobs of the command, by key
_failures: list[tuple[str, Exception]] = []  # name of the job, error


def current() -> JobConf | None:
    """Return what Hydra knows of the running job of a sweep, None outside a sweep."""
    return HydraConfig.get().job if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN else None


def title() -> str:
    """Return what stands before the running job's progress: of Optuna ``job 3/6, ``, else ``job 2, ``; '' outside a sweep."""
    if (job := current()) is None:
        return ""
    trials = HydraConfig.get().sweeper.get("n_trials")
    return f"job {job.num + 1}/{trials}, " if trials else f"job {job.num}, "


def collect(records: list[Any]) -> list[Any]:
    """Add a job's records to those of the jobs before it; return them all, each once."""
    _records.update((record.key, record) for record in records)
    return list(_records.values())


def failed(error: Exception, name: str = "") -> None:
    """Note the error of a job, so that the other jobs run; with HYDRA_FULL_ERROR=1 raise it.

    A signal stops all jobs, and is noted once.

    Args:
        name: what stands before the error; '': what Hydra knows of the running job.
    """
    if command.FULL_ERROR:
        raise error
    stopped = isinstance(error, Interrupted)
    if not stopped and (name or current()):
        _failures.append((name or f"job {current().num} ({current().override_dirname}) failed: ", error))
    elif not stopped or not any(isinstance(earlier, Interrupted) for _, earlier in _failures):
        _failures.append(("", error))


def end() -> int:
    """Report the errors of all jobs, and forget the jobs; return the exit code, 0 if none failed."""
    codes = [command.report(error, name) for name, error in _failures]
    _failures.clear()
    _records.clear()
    return max(codes, default=0)
