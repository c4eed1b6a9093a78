"""A sweep on local workers, one of which is killed every ten seconds, and whose driver is killed once, loses nothing."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

from lth.tree import attempts
from tests.faults.experiment import outcome, wrong

EVERY = 10.0  # seconds; of a small share one


def main(base: Path, images: Path, share: float) -> list[str]:
    """Run the sweep plainly and on two workers that are killed; return what is wrong in the end."""
    small = share < 0.1
    options = sweep(images, seeds=max(1, round(8 * share)), epochs=12 if small else 60)
    code = start(options, base / "plain").wait()
    assert code == 0, printed(base / "plain")
    outputs, draw, killed = base / "graph", random.Random(0), 0
    launched = [*options, "hydra/launcher=local", "hydra.launcher.workers=2", "hydra.launcher.retries=1000"]
    process = start(launched, outputs)
    while (code := ended(process, 1.0 if small else EVERY)) is None:
        if victims := trainers(process.pid):
            with suppress(ProcessLookupError):
                os.kill(draw.choice(victims), signal.SIGKILL)
                killed += 1
        if killed == 3:  # its workers finish their rounds, for which the next one waits
            process.kill()
            process.wait()
            process = start(launched, outputs)
            killed += 1
    exits = Counter(row.exit for row in attempts.read(outputs))
    print(f"killed {killed - 1} workers and a driver; exit codes of attempts: {dict(exits)}; exit code {code}")
    faults = wrong(outputs, outcome(base / "plain"))
    return faults if code == 0 else [*faults, printed(outputs)]


def sweep(images: Path, seeds: int, epochs: int = 60) -> list[str]:
    """Return the options of a sweep whose rounds take some seconds; they store a checkpoint every three."""
    fixed = (
        "data=folder data.image_size=32 data.batch_size=16 trainer=cpu logger=none prune.rounds=3 "
        "prune.controls=reinit prune.control_rounds=3 trainer.checkpoint_minutes=0.02"
    )
    return [
        f"data.root={images}",
        f"seed={','.join(map(str, range(seeds)))}",
        "prune.rate=0.2,0.5",
        f"epochs={epochs}",
        *fixed.split(),
    ]


def start(options: list[str], outputs: Path) -> subprocess.Popen:
    """Start the command in a process group of its own; what it prints goes to a file beside its outputs."""
    with open(outputs.with_suffix(".txt"), "ab") as log:
        line = [sys.executable, "-m", "lth.run", "-m", *options, f"outputs={outputs}"]
        return subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)


def printed(outputs: Path) -> str:
    return outputs.with_suffix(".txt").read_text(errors="replace")


def ended(process: subprocess.Popen, seconds: float) -> int | None:
    """Return the exit code of a process, None if it has not ended after so many seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def trainers(driver: int) -> list[int]:
    """Return the processes that train: children of the driver's fork server."""
    return [pid for server in children(driver) for pid in children(server)]
