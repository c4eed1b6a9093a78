"""How long a report on many rounds takes, and how much memory."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.report.invent_rounds import outputs

# Its own high-water mark: getrusage's would be this process's, in which torch is.
PROBE = "import lth.report.__main__ as r\ntry: r.main()\nfinally: print(open('/proc/self/status').read())"
RECIPES, SEEDS, ROUNDS = 100, 5, 18  # with a dense network and a control each: 10,000 rounds


def report() -> None:
    """python -m lth.report of 10,000 invented rounds with all their files, as a whole process, three times."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "outputs"
        for k in range(RECIPES):
            own = {"recipe": f"{k:012x}", "family": f"{k:012x}", "determined_by": {"optim": {"lr": 0.001 * (k + 1)}}}
            outputs(root, SEEDS, ROUNDS, first=SEEDS * k, **own)
        count = sum(1 for _ in root.glob("rounds/*/round.json"))
        seconds, megabytes = [], []
        for _ in range(3):
            begin = time.perf_counter()
            told = subprocess.run([sys.executable, "-c", PROBE, str(root)], check=True, capture_output=True, text=True).stdout
            seconds.append(time.perf_counter() - begin)
            megabytes.append(int(re.search(r"VmHWM:\s+(\d+) kB", told)[1]) / 1024)
    print(f"\nreport on {count} rounds: {', '.join(f'{s:.1f}' for s in seconds)} s, at most {max(megabytes):.0f} MB")
