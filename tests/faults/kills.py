"""An experiment that is killed again and again ends with the same bits as one that is not."""

import os
import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.faults.boundaries import Boundaries
from tests.faults.experiment import arguments, command, end, run, share_of, start, undisturbed, wrong

SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGUSR1")
MOST = 2000  # kills; more means that the names of boundaries are new in each process
CODES = {0, 75, *(-getattr(signal, name) for name in SIGNALS)}


def main(base: Path, images: Path, share: float) -> list[str]:
    """Kill at a share of all write boundaries, and a fifteenth as often at random; return what is wrong in the end."""
    expected, seconds = undisturbed(images, base / "undisturbed")
    names = at_boundaries(images, base / "boundaries", share)
    ends = at_random(images, base / "random", 1 + round(40 * share), seconds)
    print(f"killed at {len(names)} write boundaries, of {len({name.rpartition(' ')[0] for name in names})} kinds")
    print(f"stopped {sum(ends.values())} times at random: {', '.join(f'{how}: {n}' for how, n in sorted(ends.items()))}")
    return [fault for outputs in [base / "boundaries", *base.glob("random*/")] for fault in wrong(outputs, expected)]


def at_boundaries(images: Path, outputs: Path, share: float) -> list[str]:
    """Be killed at that share of all write boundaries, once each; return their names."""
    log = outputs.with_name("boundaries.txt")

    def work() -> None:
        Boundaries(outputs, log, lambda name: share_of(name, share))
        command(*arguments(images, outputs))

    for _ in range(MOST):
        code, printed = run(work, outputs.with_name("printed.txt"))
        if code == 0:
            return log.read_text().splitlines()
        assert code == -signal.SIGKILL, f"exit code {code}: {printed}"
    raise AssertionError(f"{MOST} kills without an end; the last were at {log.read_text().splitlines()[-3:]}")


def at_random(images: Path, outputs: Path, count: int, longest: float, seed: int = 0) -> Counter:
    """Be sent ``count`` signals at random moments, ``longest`` seconds at most after the start; return how processes ended."""
    draw, ends, printed = random.Random(seed), Counter(), outputs.with_name("printed.txt")
    for _ in range(count):
        pid = start(partial(command, *arguments(images, outputs)), printed)
        time.sleep(draw.uniform(0, longest))
        name = draw.choice(SIGNALS)
        os.kill(pid, getattr(signal, name))
        code = end(pid)
        assert code in CODES, f"{name}: exit code {code}: {printed.read_text()}"
        assert "Traceback" not in printed.read_text(), printed.read_text()
        ends[f"{name}, exit code {code}"] += 1
        if code == 0:  # it ended before: the next one starts all over, somewhere else
            outputs = outputs.with_name(f"{outputs.name}+")
    code, text = run(lambda: command(*arguments(images, outputs)), printed)
    assert code == 0, text
    return ends
