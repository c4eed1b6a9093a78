"""``python -m tests.faults [kills|concurrency|disk|damages|workers|ray] [share]``: what is survived; all of it, or a share.

``ray`` is run by name alone: it needs Ray, and starts a cluster.
"""

import importlib
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tests.conftest import write_parts
from tests.faults.experiment import warm

ALL = ("kills", "concurrency", "disk", "damages", "workers")
NAMED = (*ALL, "ray")


def main(chosen: list[str], share: float) -> int:
    warm()
    faults = []
    for name in chosen:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            base = Path(folder).resolve()
            images = write_parts(base / "images", 30, 6)  # eight by eight pixels, for a LeNet of 90,000 weights
            faults += importlib.import_module(f"tests.faults.{name}").main(base, images, share)
        print(f"{name}: {time.monotonic() - begin:.0f} s")
    print("\n".join(faults) or "all rounds are as in an undisturbed run, to the bit")
    return bool(faults)


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument in NAMED]
    shares = [float(argument) for argument in sys.argv[1:] if argument not in NAMED]
    sys.exit(main(names or list(ALL), shares[0] if shares else 1.0))
