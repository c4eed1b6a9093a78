"""A disk that is full, read-only, or loses what was on it: one sentence, and the same command goes on afterwards."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.boundaries import Boundaries
from tests.faults.experiment import arguments, command, run, share_of, undisturbed, wrong

NEED_ROOM = ("before open", "before mkdir", "before fsync", "before replace", "before rename", "before posix_fallocate", "amid")
FULL = os.strerror(errno.ENOSPC)


def main(base: Path, images: Path, share: float) -> list[str]:
    """Return what is wrong in the end."""
    expected, _ = undisturbed(images, base / "undisturbed")
    print(f"no room on the disk: one sentence at {no_room(images, base / 'room', share)} write boundaries")
    print(f"a small tmpfs: {mounted(images, base / 'small', share)}")
    vanishing(images, base / "gone")
    print("a vanished data folder and a removed cache: one sentence, and repeated")
    return [fault for name in ("room", "gone") for fault in wrong(base / name, expected)]


def ends(images: Path, outputs: Path, code: int, *words: str, before: Callable[[], Any] = lambda: None) -> None:
    """Run the command; it must end with this code, and one sentence that has all ``words`` if there are any."""
    got, text = run(lambda: (before(), command(*arguments(images, outputs))), outputs.with_name("printed.txt"))
    sentences = [line for line in text.splitlines() if line.startswith("lth: ")]
    assert (got, len(sentences)) == (code, bool(words)), (got, text)
    assert "Traceback" not in text, text
    assert all(word in sentences[0] for word in words), (words, sentences)


def no_room(images: Path, outputs: Path, share: float) -> int:
    """Find no room at a share of the boundaries that need some, one after another; return their number."""
    log = outputs.with_name("room.txt")

    def full() -> None:
        raise OSError(errno.ENOSPC, FULL)

    def work() -> None:
        Boundaries(outputs, log, lambda name: name.startswith(NEED_ROOM) and share_of(name, share), full)
        command(*arguments(images, outputs))

    while True:
        code, text = run(work, outputs.with_name("printed.txt"))
        if code == 0:
            return len(log.read_text().splitlines()) if log.exists() else 0
        assert code == 1, (code, text)
        assert "Traceback" not in text, text
        assert FULL in text, text


def mounted(images: Path, outputs: Path, share: float) -> str:
    """A small tmpfs that is full, larger, full again, read-only, and large enough at last."""

    def mount(options: str) -> int:
        line = ["mount", "-t", "tmpfs", "-o", options, "none", str(outputs)]
        return subprocess.run(line, check=False, capture_output=True).returncode

    outputs.mkdir()
    if shutil.which("mount") is None or mount("size=20k"):
        return "not permitted here"
    try:
        sizes = (24, 100, 600, 1000, 2500, 4000) if share == 1 else (1000,)
        for kilobytes in sizes:
            mount(f"remount,size={kilobytes}k")
            ends(images, outputs, 1, FULL)
        mount("remount,ro")
        ends(images, outputs, 1, "Read-only", str(outputs))
        mount("remount,rw,size=100m")
        ends(images, outputs, 0)
        return f"full {len(sizes)} times, read-only once"
    finally:
        subprocess.run(["umount", "-l", str(outputs)], check=True)


def vanishing(images: Path, outputs: Path) -> None:
    """The data folder is missing at first; the cache is removed when each round has been trained."""
    from lth.tree.store import Store

    moved, enter = images.with_name("moved"), Store.enter

    def lose_the_cache() -> None:
        Store.enter = lambda self, record: (shutil.rmtree(outputs / "cache", ignore_errors=True), enter(self, record))

    images.rename(moved)
    ends(images, outputs, 1, str(images), "is no folder")
    moved.rename(images)
    ends(images, outputs, 0, before=lose_the_cache)
    ends(images, outputs, 0)
