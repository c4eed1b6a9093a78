"""Many processes on one folder with overlapping sweeps train each round once; one that is killed holds up nobody."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.faults.experiment import arguments, command, end, outcome, run, start, wrong

SWEEP = [(f"prune.rate={rate}", f"seed={seed}") for rate in (0.2, 0.5) for seed in (0, 1)]  # 2 + 4 * 1 rounds


def main(base: Path, images: Path, share: float) -> list[str]:
    """Start eight processes, or fewer; return what is wrong in the end."""
    count, alone, shared, log = max(4, round(8 * share)), base / "alone", base / "shared", base / "trained.txt"
    code, text = run(lambda: sweep(images, alone, 0, base / "log"), base / "alone.txt")
    assert code == 0, text
    printed = [base / f"printed{k}.txt" for k in range(count)]
    processes = [start(lambda: sweep(images, shared, 0, log, printed[1:]), printed[0])]
    wait(log.exists)
    processes += [start(lambda k=k: sweep(images, shared, k, log), printed[k]) for k in range(1, count)]
    codes = [end(process) for process in processes]
    trained, expected = Counter(log.read_text().split()), outcome(alone)
    again = sum(trained.values()) - len(expected)
    print(f"{count} processes, exit codes {codes}: {len(trained)} rounds trained, {again} of them twice (the killed one's)")
    faults = wrong(shared, expected) + [printed[k].read_text() for k, code in enumerate(codes) if k and code]
    if codes[0] != -signal.SIGKILL or again != 1 or trained.keys() != {name.rpartition("-")[2] for name in expected}:
        faults.append(f"trained: {trained}")
    return faults


def sweep(images: Path, outputs: Path, turn: int, log: Path, others: list[Path] | None = None) -> None:
    """Run the jobs, from another one on for each process.

    ``others``: of the victim, which is killed when it trains its first round; the files that exist once the others have begun.
    """
    from lth.tree.store import Store

    start_over = Store.start_over

    def noted(self, key, readable):
        with open(log, "a") as file:
            file.write(f"{key}\n")
        if others is not None:
            wait(lambda: all(path.exists() for path in others))
            time.sleep(1)  # until some of them wait for its lock
            os.kill(os.getpid(), signal.SIGKILL)
        return start_over(self, key, readable)

    Store.start_over = noted
    turn %= len(SWEEP)
    for options in SWEEP[turn:] + SWEEP[:turn]:
        command(*arguments(images, outputs, "logger=none", "prune.rounds=1", "prune.controls=none", *options))


def wait(until: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
