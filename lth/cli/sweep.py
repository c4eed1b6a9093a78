"""Which job of a sweep this is, and of how many. Imports no torch."""

import math
import sys

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode


def job() -> str:
    """``job 2/6, `` under a sweep, ``job 2, `` where another sweeper than Hydra's own decides how many, else ''."""
    current = HydraConfig.get() if HydraConfig.initialized() else None
    if current is None or current.mode != RunMode.MULTIRUN:
        return ""
    own = current.sweeper["_target_"].endswith(".BasicSweeper") and not current.sweeper.get("params")
    count = total(sys.argv[1:]) if own else None
    return f"job {current.job.num + 1}{f'/{count}' if count else ''}, "


def total(arguments: list[str]) -> int | None:
    """The number of jobs that a command line asks for; None where it cannot be told from it alone."""
    overrides = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
    sweeps = [override for override in overrides if override.is_sweep_override()]
    try:
        return math.prod(len(list(override.sweep_string_iterator())) for override in sweeps)
    except HydraException:  # a glob, an interval
        return None
