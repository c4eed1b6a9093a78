"""The jobs of a sweep: which one runs, of how many, what they gave, and which ones failed. Imports no torch."""

import math
import sys
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig

from lth.cli import command
from lth.config import Config
from lth.errors import Interrupted, UsageError

_records: dict[str, Any] = {}  # of all jobs of the command, by key
_failures: list[tuple[str, Exception]] = []  # name of the job, error


def _current() -> DictConfig | None:
    """Return Hydra's own configuration of the running job, None outside a sweep."""
    return HydraConfig.get() if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN else None


def title() -> str:
    """Return ``job 2/6, `` in a sweep, ``job 2, `` where the number of jobs is not known, '' outside a sweep."""
    if (current := _current()) is None:
        return ""
    on_command_line = current.sweeper["_target_"].endswith(".BasicSweeper") and not current.sweeper.get("params")
    count = total(sys.argv[1:]) if on_command_line else None
    return f"job {current.job.num + 1}{f'/{count}' if count else ''}, "


def total(arguments: list[str]) -> int | None:
    """Return the number of jobs that a command line asks for; None where it does not say, as with a glob or an interval."""
    overrides = OverridesParser.create().parse_overrides([a for a in arguments if "=" in a and not a.startswith("-")])
    try:
        return math.prod(len(list(o.sweep_string_iterator())) for o in overrides if o.is_sweep_override())
    except HydraException:
        return None


def require_one_device(config: Config) -> None:
    """Raise UsageError for a sweep on several devices: Lightning starts their processes by repeating the command."""
    if config.trainer.devices > 1 and _current() is not None:
        raise UsageError(f"trainer.devices={config.trainer.devices} is not accepted in a sweep (-m): it takes 1 there.")


def collect(records: list[Any]) -> list[Any]:
    """Add a job's records to those of the jobs before it; return them all, each once."""
    _records.update((record.key, record) for record in records)
    return list(_records.values())


def failed(error: Exception) -> None:
    """Note the error of a job, so that the other jobs run; with HYDRA_FULL_ERROR=1 raise it.

    A signal stops all jobs, and is noted once.
    """
    if command.FULL_ERROR:
        raise error
    if isinstance(error, Interrupted) and any(isinstance(earlier, Interrupted) for _, earlier in _failures):
        return
    current = None if isinstance(error, Interrupted) else _current()
    _failures.append((f"job {current.job.num} ({current.job.override_dirname}) failed: " if current else "", error))


def end() -> int:
    """Report the errors of all jobs, and forget the jobs; return the exit code, 0 if none failed."""
    codes = [command.report(error, name) for name, error in _failures]
    _failures.clear()
    _records.clear()
    return max(codes, default=0)
