"""What a user is told when something is wrong: one sentence, and an exit code."""

import functools
import sys


def notice(sentence: str) -> None:
    """Tell of something that is mended on the way."""
    print(f"lth: {sentence}", file=sys.stderr)


@functools.cache
def notice_once(sentence: str) -> None:
    """``notice``, but only the first time that this process has it to say."""
    notice(sentence)


class LthError(Exception):
    """Something that one sentence explains; ``run`` prints it without a traceback and exits with ``exit_code``."""

    exit_code = 1


class UsageError(LthError, ValueError):
    """A key or a value of the configuration that is not accepted."""

    exit_code = 2


class DataError(LthError):
    """Images or files that cannot be used as they are."""


class Interrupted(LthError):
    """A signal asked to stop, and where training is has been saved; the same command goes on from there.

    The exit code is EX_TEMPFAIL of sysexits.h, "try again later": a scheduler can requeue jobs that end with it.
    """

    exit_code = 75


class NumberError(LthError, ValueError):
    """A loss, a weight or a score that is not a finite number; nothing is ranked or kept by it."""


class InvariantError(LthError):
    """A round broke one of its invariants; it is not marked as finished."""
