"""How every command ends: with an exit code, and one sentence for what went wrong. Imports no torch."""

import os
import sys
from collections.abc import Callable

from lth.errors import LthError

FULL_ERROR = os.environ.get("HYDRA_FULL_ERROR") == "1"  # of the user: later lth.run sets it for Hydra


def run_command(work: Callable[[], int], stopped: str = "stopped.") -> None:
    """Do a command's work, and exit with the code that it returns, unless that is 0.

    An error becomes one sentence, see ``report``; with HYDRA_FULL_ERROR=1 it is raised. Ctrl-C becomes ``stopped`` and code 130.
    """
    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads what is printed (``| head``): Python's last flush would fail as well
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        print(f"lth: {stopped}", file=sys.stderr)
        code = 130
    except Exception as error:
        if FULL_ERROR:
            raise
        code = report(error)
    if code:
        sys.exit(code)


def report(error: Exception, job: str = "") -> int:
    """Print an error as one sentence, after the name of its job; return the exit code: 2 for usage, 1 for other trouble."""
    if isinstance(error, LthError):
        sentence = str(error)
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        sentence = f"{where}{error.strerror}; finished rounds are kept, and the same command goes on once that is mended."
    else:
        sentence = f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)"
    print(f"lth: {job}{sentence}", file=sys.stderr)
    return getattr(error, "exit_code", 1)
