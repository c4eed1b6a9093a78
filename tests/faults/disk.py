"""A disk that is full, or read-only: one sentence, and the same command goes on afterwards."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.boundaries import until_done
from tests.faults.experiment import command, run, share_of, undisturbed, wrong

FULL = os.strerror(errno.ENOSPC)


def main(base: Path, images: Path, share: float) -> list[str]:
    """Return what is wrong in the end."""
    expected = undisturbed(images, base / "undisturbed")
    print(f"no room on the disk: one sentence at {no_room(images, base / 'full', max(share, 0.04))} write boundaries")
    print(f"a small tmpfs: {mounted(images, base / 'small', share)}")
    return wrong(base / "full", expected)


def no_room(images: Path, outputs: Path, share: float) -> int:
    """Find the disk full at a share of the boundaries that need space, one after another; return their number."""

    def chosen(name: str) -> bool:  # TensorBoard writes its files in a thread, which prints a traceback of its own
        return name.startswith(("open", "mkdir", "rename")) and "tfevents" not in name and share_of(share, name)

    def full() -> None:
        raise OSError(errno.ENOSPC, FULL)

    ends = until_done(images, outputs, chosen, full)
    assert all(code == 1 and FULL in text for _, code, text in ends), ends
    return len(ends)


def mounted(images: Path, outputs: Path, share: float) -> str:
    """A small tmpfs that is full, larger, full again, read-only, and large enough at last."""
    outputs.mkdir()
    sizes = (24, 100, 600, 1000, 2500, 4000) if share == 1 else (1000,)
    steps = [("size=20k", 0, ""), *((f"remount,size={size}k", 1, FULL) for size in sizes)]
    steps += [("remount,ro", 1, f"{outputs}"), ("remount,rw,size=100m", 0, "")]
    for options, expected, words in steps:
        line = ["mount", "-t", "tmpfs", "-o", options, "none", str(outputs)]
        if shutil.which("mount") is None or subprocess.run(line, check=False, capture_output=True).returncode:
            return "not permitted here"
        if options != "size=20k":
            code, text = run(lambda: command(images, outputs), outputs.with_name("printed.txt"))
            assert (code, text.count("\nlth: ") + text.startswith("lth: ")) == (expected, expected), text
            assert words in text, text
    subprocess.run(["umount", "-l", str(outputs)], check=True)
    return f"full {len(sizes)} times, read-only once"
