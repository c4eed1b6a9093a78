"""Errors that one sentence explains, with exit codes, and notices."""

import functools
import sys
from importlib.util import find_spec


def notice(sentence: str) -> None:
    """Print a sentence on something that does not stop the command."""
    print(f"lth: {sentence}", file=sys.stderr)


notice_once = functools.cache(notice)  # once in a process for each sentence


class LthError(Exception):
    """An error that its sentence explains; commands print it without a traceback and exit with ``exit_code``."""

    exit_code = 1


class UsageError(LthError, ValueError):
    """A key or a value of the configuration that is not accepted."""

    exit_code = 2


class DataError(LthError):
    """Images or files that cannot be used as they are."""


class Interrupted(LthError):
    """A signal asked to stop, and the training is saved; the same command resumes it.

    The exit code is EX_TEMPFAIL of sysexits.h, "try again later": a scheduler can requeue jobs that end with it.
    """

    exit_code = 75


class NumberError(LthError, ValueError):
    """A loss, a weight or a score is not a finite number."""


class InvariantError(LthError):
    """A round broke one of its invariants; it is not marked as finished."""


def require_package(package: str, key: str, extra: str) -> None:
    """Raise UsageError where an optional package is not installed.

    Args:
        package: the name by which it is imported.
        key: what needs it, such as ``hydra/launcher=ray``.
        extra: of lth, that installs it.
    """
    if find_spec(package) is None:
        raise UsageError(f"{key} needs the package {package}, which is not installed: pip install -e '.[{extra}]'.")
