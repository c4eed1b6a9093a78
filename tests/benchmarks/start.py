"""How soon the command line answers."""

import subprocess
import sys

from tests.benchmarks.timing import medians, show


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
