"""How soon commands answer, and how long a report on many rounds takes."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.timing import medians, show
from tests.report.invent_rounds import outputs

# Its own high-water mark: getrusage's would be this process's, in which torch is.
PROBE = "import lth.report.__main__ as r\ntry: r.main()\nfinally: print(open('/proc/self/status').read())"
RECIPES, SEEDS, ROUNDS = 100, 5, 18  # with a dense network and a control each: 10,000 rounds


def start() -> None:
    """Whole processes: --help, --cfg job, a typo; beside them, what importing torch and Lightning would cost."""

    def run(*arguments: str):
        return lambda: subprocess.run([sys.executable, *arguments], check=False, capture_output=True)

    functions = {
        "--help": run("-m", "lth.run", "--help"),
        "--cfg job": run("-m", "lth.run", "--cfg", "job"),
        "a typo": run("-m", "lth.run", "prune.rat=0.2"),
        "a value out of range": run("-m", "lth.run", "prune.rate=2"),
        "import pytorch_lightning": run("-c", "import pytorch_lightning"),
    }
    show("cold start", medians(functions, runs=5, warm=1), "--help")


def report() -> None:
    """python -m lth.report of 10,000 invented rounds with all their files, as a whole process."""
    with tempfile.TemporaryDirectory() as folder:
        root, megabytes = Path(folder) / "outputs", []
        for k in range(RECIPES):
            own = {"recipe": f"{k:012x}", "family": f"{k:012x}", "determined_by": {"optim": {"lr": 0.001 * (k + 1)}}}
            outputs(root, SEEDS, ROUNDS, first=SEEDS * k, **own)

        def run() -> None:
            done = subprocess.run([sys.executable, "-c", PROBE, str(root)], check=True, capture_output=True, text=True)
            megabytes.append(int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1]) / 1024)

        show("report on 10,000 rounds", medians({"python -m lth.report": run}, runs=3, warm=0), "python -m lth.report")
    print(f"at most {max(megabytes):.0f} MB")
