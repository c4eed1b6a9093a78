"""``python -m tests.faults [kills]``: how many kills an experiment survives; without a number, at every write boundary."""

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

from tests.faults import kills
from tests.faults.experiment import arguments, command, do, faults, pictures, told, warm


def main(count: int) -> int:
    begin = time.monotonic()
    warm()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        base = Path(folder).resolve()
        images = pictures(base / "images")
        whole, here, there = (base / name / "outputs" for name in ("whole", "boundaries", "random"))
        for path in (whole, here, there):
            path.parent.mkdir()
        started = time.monotonic()
        assert do(lambda: command(*arguments(images, whole)), base / "whole.txt") == 0, (base / "whole.txt").read_text()
        expected, longest = told(whole), time.monotonic() - started
        odd = kills.names(images, base / "one") ^ kills.names(images, base / "other")
        assert not odd, f"boundaries whose names differ from process to process: {sorted(odd)[:5]}"
        names = kills.at_boundaries(images, here, 1.0 if count >= 100 else count / 2 / 400)
        ends = kills.at_random(images, there, max(count - len(names), count // 4), longest)
        wrong = [fault for path in [here, *there.parent.glob("outputs*")] for fault in faults(path, expected)]
    print(f"killed at {len(names)} write boundaries, of {len({name.rpartition(' ')[0] for name in names})} kinds")
    print(f"stopped {sum(ends.values())} times at random: {', '.join(f'{what}: {n}' for what, n in sorted(ends.items()))}")
    print("\n".join(wrong) or f"{len(expected)} rounds are as without kills, to the bit; {time.monotonic() - begin:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
