"""A real experiment that is killed again and again, and ends as if it had not been."""

import os
import random
import signal
import time
import zlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.boundaries import Boundaries
from tests.faults.experiment import FAILED, arguments, command, config, do, end, quiet, start

SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGUSR1")
MOST = 2000  # kills; more means that the names of boundaries are new in each process
CODES = {0, 75, *(-getattr(signal, name) for name in SIGNALS)}


def at_boundaries(images: Path, outputs: Path, share: float) -> list[str]:
    """Be killed at that share of all write boundaries, once each; returns their names."""
    log, made = outputs.with_name("boundaries.txt"), config(images, outputs)

    def work(chosen: Any) -> None:
        Boundaries(outputs, log, chosen)
        quiet(made)

    said, chosen = outputs.with_name("said.txt"), partial(_chosen, share)
    for _ in range(MOST):
        code = do(partial(work, chosen), said)
        if code == 0:
            return log.read_text().splitlines()
        assert code == -signal.SIGKILL, f"exit code {code}: {said.read_text()}"
    raise AssertionError(f"{MOST} kills without an end; the last were at {log.read_text().splitlines()[-3:]}")


def names(images: Path, outputs: Path) -> set[str]:
    """The names of all write boundaries of an experiment on an empty folder; they must be the same in any process."""
    log, found = outputs.with_name(f"{outputs.name}.txt"), outputs.with_name(f"{outputs.name}.names")

    def noted(name: str) -> bool:
        with open(found, "a") as file:
            file.write(f"{name}\n")
        return False

    def work() -> None:
        Boundaries(outputs, log, noted)
        quiet(config(images, outputs))

    assert do(work, outputs.with_name("said.txt")) == 0, outputs.with_name("said.txt").read_text()
    return set(found.read_text().splitlines())


def _chosen(share: float, name: str) -> bool:
    return zlib.crc32(name.encode()) % 1000 < share * 1000


def at_random(images: Path, outputs: Path, count: int, longest: float, seed: int = 0) -> Counter:
    """Be sent ``count`` signals at random moments, SIGTERM and SIGUSR1 among them; returns how processes ended.

    ``longest``: seconds until the latest of them.
    """
    draw, ends = random.Random(seed), Counter()
    line = arguments(images, outputs)
    for _ in range(count):
        began = time.monotonic()
        pid = start(partial(command, *line), outputs.with_name("said.txt"))
        time.sleep(draw.uniform(0, longest))
        name = draw.choice(SIGNALS)
        os.kill(pid, getattr(signal, name))
        code = end(pid)
        said = outputs.with_name("said.txt").read_text()
        if code not in CODES or "Traceback" in said:
            raise AssertionError(f"{name} after {time.monotonic() - began:.2f} s: exit code {code}: {said}")
        ends[f"{name}, exit code {code}"] += 1
        if code == 0:  # it ended before: the next one starts all over, somewhere else
            outputs = outputs.with_name(f"{outputs.name}+")
            line = arguments(images, outputs)
    while code := do(lambda: command(*line), outputs.with_name("said.txt")):
        assert code != FAILED, outputs.with_name("said.txt").read_text()
    return ends
