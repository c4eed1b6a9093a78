"""Signals that ask to stop: Ctrl-C, SIGTERM, and SIGUSR1, which Slurm sends before a job's time is over. Imports no torch."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lth.errors import Interrupted

NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")
_asked: list[str] = []
_listening = False


def listen() -> None:
    """Note such signals from now on, so that training saves a checkpoint and ends. A second Ctrl-C ends at once."""
    global _listening
    _listening = True
    for name in NAMES:
        signal.signal(getattr(signal, name), _note)


@contextmanager
def listening() -> Iterator[None]:
    """Note such signals within a block, and have the handlers of before again after it."""
    global _listening
    before = {name: signal.getsignal(getattr(signal, name)) for name in NAMES}
    listen()
    try:
        yield
    finally:
        _listening = False
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def keep_listening() -> None:
    """Replace the handlers that Lightning's Trainer sets, which end without a checkpoint."""
    if _listening and not asked():
        listen()


def _note(number: int, frame: FrameType | None) -> None:
    _asked.append(signal.Signals(number).name)
    if number == signal.SIGINT:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not print: the signal may come in the middle of a print, which cannot be entered twice.
        os.write(2, b"\nsaving a checkpoint; Ctrl-C again stops at once\n")


def asked() -> str:
    """Return the name of the first signal that asked to stop, '' if there was none."""
    return _asked[0] if _asked else ""


def stop(where: str) -> None:
    """Raise Interrupted if a signal asked to stop; ``where`` says what is saved."""
    if asked():
        error = Interrupted(f"{asked()}: {where}; the same command goes on from there.")
        error.exit_code = 130 if asked() == "SIGINT" else Interrupted.exit_code  # what shells expect after Ctrl-C
        raise error
