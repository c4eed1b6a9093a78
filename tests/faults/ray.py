"""A sweep on a Ray cluster of two nodes on this machine: one node is killed, then the driver; nothing is lost.

Each node is a raylet with one core, as ``ray start`` makes them; Ray has to be installed.
"""

import os
import secrets
import subprocess
import sys
from collections import Counter
from pathlib import Path

from lth.tree import attempts
from tests.faults.experiment import outcome, wait, wrong
from tests.faults.workers import ended, printed, start, sweep

PORT = 6399
ADDRESS = f"127.0.0.1:{PORT}"


def main(base: Path, images: Path, share: float) -> list[str]:
    """Run the sweep plainly and on the cluster; return what is wrong in the end."""
    options = sweep(images, seeds=max(1, round(2 * share)))
    code = start(options, base / "plain").wait()
    assert code == 0, printed(base / "plain")
    outputs = base / "graph"
    launched = [*options, "hydra/launcher=ray", f"hydra.launcher.address={ADDRESS}"]
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # of nodes and driver
    ray("start", "--head", f"--port={PORT}", "--num-cpus=1", "--include-dashboard=false", "--disable-usage-stats")
    before = raylets()
    ray("start", f"--address={ADDRESS}", "--num-cpus=1", "--disable-usage-stats")
    [second] = raylets() - before
    try:
        process = start(launched, outputs)
        wait(lambda: len(attempts.read(outputs)) >= 4, 300)
        os.kill(second, 9)
        wait(lambda: any(row.exit for row in attempts.read(outputs)), 300)
        process.kill()
        process.wait()
        done = len(list(outputs.glob("rounds/*/round.json")))
        process = start(launched, outputs)
        while (code := ended(process, 5)) is None:
            pass
    finally:
        ray("stop", "--force")
    rows = attempts.read(outputs)
    print(
        f"killed a node of two and the driver at {done} finished rounds; workers {len({row.worker for row in rows})}, "
        f"exit codes of attempts: {dict(Counter(row.exit for row in rows))}; exit code {code}"
    )
    faults = wrong(outputs, outcome(base / "plain"))
    return faults if code == 0 else [*faults, printed(outputs)]


def ray(*arguments: str) -> None:
    """Run Ray's command line."""
    line = [sys.executable, "-m", "ray.scripts.scripts", *arguments]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def raylets() -> set[int]:
    """Return the processes that are nodes of Ray."""
    found = subprocess.run(["pgrep", "-x", "raylet"], check=False, capture_output=True, text=True)
    return set(map(int, found.stdout.split()))
