"""Many processes on one folder with overlapping sweeps train each round once; one that is killed holds up nobody."""

import os
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path

from lth.tree.store import Store
from tests.faults.experiment import command, outcome, run, start, wait, wrong

SWEEP = [(f"prune.rate={rate}", f"seed={seed}") for rate in (0.2, 0.5) for seed in (0, 1)]  # 2 + 4 * 1 rounds


def main(base: Path, images: Path, share: float) -> list[str]:
    """Start eight processes, or fewer; return what is wrong in the end."""
    log = base / "trained.log"
    code, text = run(lambda: sweep(images, base / "alone", 0, base / "alone.log"), base / "alone.txt")
    assert code == 0, text
    printed = [base / f"printed{k}.txt" for k in range(max(4, round(8 * share)))]
    processes = [start(partial(sweep, images, base / "shared", 0, log, printed[1:]), printed[0])]
    wait(log.exists)
    processes += [start(partial(sweep, images, base / "shared", k, log), printed[k]) for k in range(1, len(printed))]
    for process in processes:
        process.join()
    codes, trained, expected = (
        [process.exitcode for process in processes],
        Counter(log.read_text().split()),
        outcome(base / "alone"),
    )
    twice = sum(trained.values()) - len(expected)
    print(f"{len(codes)} processes, exit codes {codes}: {len(trained)} rounds trained, {twice} of them twice (the killed one's)")
    faults = wrong(base / "shared", expected) + [path.read_text() for path, code in zip(printed, codes) if code > 0]
    return faults if (codes[0], twice) == (-signal.SIGKILL, 1) else [*faults, f"trained: {trained}"]


def sweep(images: Path, outputs: Path, turn: int, log: Path, others: list[Path] | None = None) -> None:
    """Run the jobs, from another one on for each process.

    ``others``: of the victim, which is killed when it trains its first round; the files that exist once the others have begun.
    """
    start_over = Store.start_over

    def noted(self: Store, key: str, readable: str) -> Path:
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
        command(images, outputs, "logger=none", "prune.rounds=1", "prune.controls=none", *options)
