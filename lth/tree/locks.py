"""Locks between processes: flock, through filelock; the operating system frees one when its holder dies.

Assumed: a lock on a file excludes all other processes that write to the folder, on this machine and on others. NFS does so
(Linux passes flock on to its server) unless it is mounted with nolock or local_lock; file systems in LOCAL do not.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from lth.tree import files

LOCAL = {"9p", "cifs", "smb3", "smbfs", "vboxsf", "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone"}  # flock stays here


@contextmanager
def held(path: Path, waiting: Callable[[], None], look: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; ``waiting`` is called once if another process has it, ``look`` every second meanwhile, and may raise."""
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        waiting()
        while not lock.is_locked:
            look()
            try:
                lock.acquire(timeout=1)
            except Timeout:
                continue
    try:
        yield
    finally:
        lock.release()


def weakness(folder: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """What locks in a folder cannot do, in one sentence; empty if nothing is known against them."""
    advice = "start its commands one after the other, or on one machine alone"
    if not _exclude(files.beside(folder / "probe")):
        return f"locks in {folder} do not keep processes apart; {advice}."
    kind, options = _mount(folder.resolve(), mounts)
    shared = kind.startswith("nfs") and {"nolock", "local_lock=all", "local_lock=flock"} & set(options)
    if kind in LOCAL or shared or (kind == "lustre" and "flock" not in options):
        return f"{folder} lies on {kind}, whose locks hold on one machine alone; {advice}."
    return ""


def _exclude(path: Path) -> bool:
    """Whether a lock that is held cannot be taken again."""
    try:
        with warnings.catch_warnings(action="ignore"), FileLock(path) as one:
            try:
                with FileLock(path, timeout=0):
                    return False
            except Timeout:
                return not isinstance(one, SoftFileLock)  # one that a killed process held stays for ever
    except NotImplementedError:  # what some versions of filelock say where there is no flock
        return False
    finally:
        path.unlink(missing_ok=True)


def _mount(folder: Path, mounts: Path) -> tuple[str, list[str]]:
    """File system type and mount options of where a folder lies; empty where that cannot be found out."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return "", []
    places = {where.replace("\\040", " "): (kind, options.split(",")) for _, where, kind, options, *_ in lines}
    inside = [where for where in places if folder.is_relative_to(where)]
    return places[max(inside, key=len)] if inside else ("", [])
