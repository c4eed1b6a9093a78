"""An experiment that is killed again and again ends with the same bits as one that is not."""

import os
import random
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.faults.boundaries import until_done
from tests.faults.experiment import command, run, share_of, start, undisturbed, wrong

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1)
CODES = {0, 75, *(-number for number in SIGNALS)}


def main(base: Path, images: Path, share: float) -> list[str]:
    """Kill at a share of all write boundaries, and some times at random; return what is wrong in the end."""
    expected = undisturbed(images, base / "undisturbed")
    killed = until_done(
        images, base / "boundaries", partial(share_of, max(share, 0.03)), lambda: os.kill(os.getpid(), signal.SIGKILL)
    )
    assert all(code == -signal.SIGKILL for _, code, _ in killed), killed
    ends = at_random(images, base / "random", 1 + round(40 * share))
    print(f"killed at {len(killed)} write boundaries; signals at random moments: {dict(ends)}")
    return [fault for outputs in [base / "boundaries", *base.glob("random*/")] for fault in wrong(outputs, expected)]


def at_random(images: Path, outputs: Path, count: int) -> Counter:
    """Be sent ``count`` signals at random moments; return how processes ended."""
    draw, ends, printed = random.Random(0), Counter(), outputs.with_name("printed.txt")
    for _ in range(count):
        process = start(partial(command, images, outputs), printed)
        time.sleep(draw.uniform(0, 4))
        os.kill(process.pid, number := draw.choice(SIGNALS))
        process.join()
        assert process.exitcode in CODES, printed.read_text()
        ends[f"{number.name}, exit code {process.exitcode}"] += 1
        if process.exitcode == 0:  # it ended before: the next one starts all over, somewhere else
            outputs = outputs.with_name(f"{outputs.name}+")
    code, text = run(lambda: command(images, outputs), printed)
    assert code == 0, text
    return ends
