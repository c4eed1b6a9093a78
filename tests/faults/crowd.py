"""``python -m tests.faults.crowd [processes]``: many processes on one folder with overlapping sweeps; one is killed."""

import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tests.faults.experiment import config, do, end, faults, pictures, quiet, start, told, warm

SWEEP = [(f"prune.rate={rate}", f"seed={seed}") for rate in (0.2, 0.5) for seed in (0, 1)]  # 2 + 4 * 3 rounds
PATIENCE = 60.0  # seconds


def work(images: Path, outputs: Path, turn: int, log: Path, others: list[Path] | None = None) -> None:
    """The sweep, from another job on for each process.

    ``others``: of the victim, which is killed while it trains its first round; the files that exist once the others have begun.
    """
    from lth.training.round import Lab

    fit = Lab.fit

    def noted(self, spec, *rest):
        with open(log, "a") as file:
            file.write(f"{spec.key}\n")
        if others is not None:
            wait(lambda: all(path.exists() for path in others))
            time.sleep(1)  # until some of them wait for its lock
            os.kill(os.getpid(), signal.SIGKILL)
        return fit(self, spec, *rest)

    Lab.fit = noted
    turn %= len(SWEEP)
    for options in SWEEP[turn:] + SWEEP[:turn]:
        quiet(config(images, outputs, *options))


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def main(count: int) -> int:
    warm()
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        base = Path(folder).resolve()
        images, alone, shared, log = pictures(base / "images"), base / "alone", base / "shared", base / "trained.txt"
        code = do(lambda: work(images, alone, 0, base / "log"), base / "alone.txt")
        assert code == 0, (base / "alone.txt").read_text()
        said = [base / f"said{k}.txt" for k in range(count)]
        processes = [start(lambda: work(images, shared, 0, log, said[1:]), said[0])]
        wait(log.exists)
        processes += [start(lambda k=k: work(images, shared, k, log), said[k]) for k in range(1, count)]
        codes = [end(process) for process in processes]
        trained = Counter(log.read_text().split())
        expected = told(alone)
        wrong = faults(shared, expected)
        wrong += [said[k].read_text() for k, code in enumerate(codes) if k and code]
    again = sum(trained.values()) - len(expected)
    print(f"{count} processes, exit codes {codes}; {len(trained)} rounds trained, {again} of them twice (the killed one's)")
    if codes[0] != -signal.SIGKILL or again != 1 or trained.keys() != {name.rpartition("-")[2] for name in expected}:
        wrong.append(f"trained: {trained}")
    print("\n".join(wrong) or "all rounds are as from one process, to the bit")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 8))
