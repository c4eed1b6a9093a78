"""``python -m tests.faults.disk``: a disk that is full, read-only, or loses what was on it."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from tests.faults.boundaries import Boundaries
from tests.faults.experiment import arguments, command, config, do, faults, pictures, quiet, told, warm


class Case:
    """Images, a folder for outputs, and what a run says."""

    def __init__(self, base: Path, images: Path) -> None:
        self.base, self.images, self.outputs, self.said = base, images, base / "outputs", base / "said.txt"
        base.mkdir()

    def run(self, before: Callable[[], Any] = lambda: None) -> int:
        def work() -> None:
            before()
            command(*arguments(self.images, self.outputs))

        return do(work, self.said)

    def fails(self, *words: str, before: Callable[[], Any] = lambda: None) -> None:
        """The command ends with exit code 1 and one sentence that has all ``words``."""
        code, text = self.run(before), self.said.read_text()
        sentences = [line for line in text.splitlines() if line.startswith("lth: ")]
        assert (code, len(sentences)) == (1, 1), (code, text)
        assert "Traceback" not in text, text
        assert all(word in sentences[0] for word in words), (words, sentences[0])

    def ends(self, expected: dict[str, Any]) -> None:
        code = self.run()
        assert code == 0, self.said.read_text()
        assert not (wrong := faults(self.outputs, expected)), wrong


def no_room(case: Case, share: float) -> int:
    """At every boundary that needs room on the disk, there is none; returns their number."""
    log = case.base / "boundaries.txt"

    def chosen(name: str) -> bool:
        needs = name.split()[:2] in (["before", w] for w in ("open", "mkdir", "fsync", "replace", "rename", "posix_fallocate"))
        return (needs or name.startswith("amid")) and zlib.crc32(name.encode()) % 1000 < 1000 * share

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    count = 0
    while True:
        code, text = case.run(lambda: Boundaries(case.outputs, log, chosen, full)), case.said.read_text()
        if code == 0:
            return count
        assert code == 1, (code, text)
        assert "Traceback" not in text, text
        assert os.strerror(errno.ENOSPC) in text, text
        count += 1


def mounted(case: Case, expected: dict[str, Any]) -> str:
    """A small tmpfs that is full, larger, full again, read-only, and large enough at last."""
    case.outputs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "none", str(case.outputs)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False, capture_output=True).returncode:
        return "not permitted here"
    try:
        for kilobytes in (24, 100, 600, 1000, 2500, 4000):
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(case.outputs)], check=True)
            case.fails(os.strerror(errno.ENOSPC))
        subprocess.run(["mount", "-o", "remount,ro", str(case.outputs)], check=True)
        case.fails("Read-only", str(case.outputs))
        subprocess.run(["mount", "-o", "remount,rw,size=100m", str(case.outputs)], check=True)
        case.ends(expected)
        subprocess.run(["mount", "-o", "remount,ro", str(case.outputs)], check=True)
        case.fails("Read-only", str(case.outputs))
        return "full 6 times, read-only twice"
    finally:
        subprocess.run(["umount", "-l", str(case.outputs)], check=True)


def losing_the_cache(case: Case) -> None:
    """The cache is removed when round 0 has been trained."""
    from lth.tree.store import Store

    enter = Store.enter

    def entered(self, record):
        shutil.rmtree(case.outputs / "cache", ignore_errors=True)
        return enter(self, record)

    Store.enter = entered


def main(share: float) -> None:
    warm()
    with tempfile.TemporaryDirectory(prefix="disk-") as folder:
        base = Path(folder).resolve()
        images, whole = pictures(base / "images"), base / "whole"
        assert do(lambda: quiet(config(images, whole)), base / "said.txt") == 0, (base / "said.txt").read_text()
        expected = told(whole)

        case = Case(base / "room", images)
        count = no_room(case, share)
        case.ends(expected)
        print(f"no room on the disk: told in one sentence at {count} write boundaries")

        print(f"a small tmpfs: {mounted(Case(base / 'small', images), expected)}")

        case = Case(base / "gone", base / "moving")
        case.fails("moving", "is no folder")
        os.rename(images, base / "moving")
        assert case.run(lambda: losing_the_cache(case)) == 0, case.said.read_text()
        os.rename(base / "moving", images)
        case.fails("moving", "is no folder")
        os.rename(images, base / "moving")
        case.ends(expected)
        print("a vanished data folder, a removed cache: told, or made again")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
