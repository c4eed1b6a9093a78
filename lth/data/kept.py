"""Arrays that are kept in a cache: made once, whole or absent, and compared with their checksum before use. Imports no torch.

A kept folder holds one .npy file, if any, and meta.json, which has its CRC-32 (a quarter of a second a gigabyte), what the
folder is called, and a seal over all of that.
"""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lth.errors import notice
from lth.hashes import of_record


def meta(folder: Path) -> dict[str, Any] | None:
    """What ``finish`` wrote to meta.json; None where there is nothing of it, or not what was written, which is said aloud."""
    path = folder / "meta.json"
    try:
        found = json.loads(path.read_bytes())
        if found["hash"] == of_record(found) and found["name"] == folder.name:
            return found
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError):
        pass
    notice(f"{path} is damaged, or has no checksum; it is made again.")
    return None


def array(folder: Path, about: dict[str, Any], make: Callable[[], Any]) -> np.ndarray:
    """The array of a folder, memory-mapped, with ``about`` its meta.json; ``make`` makes it again where it is damaged."""
    path = folder / about["file"]
    if not _whole(path, about):
        with FileLock(f"{folder}.lock"):
            if not _whole(path, meta(folder) or {}):  # another process may have been faster
                notice(f"{path} is damaged: it does not match its checksum; it is made again.")
                make()
    return np.load(path, mmap_mode="r")


def draft(folder: Path) -> Path:
    """An empty neighbouring folder, which ``finish`` renames: a killed build leaves nothing that looks finished."""
    beside = folder.with_name(folder.name + ".draft")
    remove(beside)
    beside.mkdir(parents=True)
    return beside


def empty(path: Path, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    """A new .npy file to be filled in, memory-mapped. Raises OSError where the disk has no room for all of it."""
    made = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # writing to a mapped page that the disk has no room for would kill the process
        with open(path, "rb+") as file:
            _named(lambda: os.posix_fallocate(file.fileno(), 0, path.stat().st_size), path)
    return made


def finish(beside: Path, folder: Path, file: str | None, about: dict[str, Any]) -> dict[str, Any]:
    """Make a draft the folder, with its meta.json; returns that. ``file``: the name of its array."""
    found = {**about, "name": folder.name, "file": file, "sum": _sum(beside / file) if file else None}
    found["hash"] = of_record(found)
    path = beside / "meta.json"
    _named(lambda: path.write_text(json.dumps(found)), path)
    remove(folder)
    beside.rename(folder)
    return found


def remove(folder: Path) -> None:
    """Whatever is there, a foreign file, too."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        folder.unlink(missing_ok=True)


def _named(write: Callable[[], Any], path: Path) -> None:
    try:
        write()
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def _whole(path: Path, about: dict[str, Any]) -> bool:
    try:
        stat = path.stat()
        return _once(path, stat.st_ino, stat.st_size, stat.st_mtime_ns) == about.get("sum")
    except (OSError, ValueError):
        return False


@lru_cache(maxsize=64)
def _once(path: Path, inode: int, size: int, time: int) -> int:
    """The checksum of a file, computed once a process."""
    return _sum(path)


def _sum(path: Path) -> int:
    return zlib.crc32(np.memmap(path, np.uint8, "r"))
