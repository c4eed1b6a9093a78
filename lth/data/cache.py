"""Folders in a cache: built once, complete or absent. Imports no torch.

A build fills a draft folder, which is renamed when its meta.json is written, so a killed build leaves nothing that looks
complete. meta.json has the CRC-32 of each array, which is compared once a process (a quarter of a second a gigabyte).
"""

import json
import shutil
import zlib
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lth.errors import notice_once

META = "meta.json"
Meta = dict[str, Any]


def load_or_build(folder: Path, build: Callable[[Path], Meta | None], before: Callable[[], None] = lambda: None) -> Meta | None:
    """Return the metadata of a cache folder, which is built where it is missing or damaged.

    ``build`` fills the folder that it is called with and returns its metadata, or None: then nothing is cached. ``before`` is
    called before building; it may raise.
    """
    if meta := _intact(folder):
        return meta
    before()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        return _intact(folder) or _build(folder, build)


def write_array(path: Path, parts: Iterable[np.ndarray]) -> None:
    """Write the consecutive parts (k, ...) of an array to a .npy file, however many there are; at least one."""
    count = 0
    with open(path, "wb") as file:
        for part in parts:
            header = np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(part))
            if not count:
                np.lib.format.write_array_header_1_0(file, header)
            file.write(part.tobytes())
            count += len(part)
        file.seek(0)  # numpy pads the header, so that it can be rewritten with another length of the array
        np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *part.shape[1:])})


def read_array(path: Path) -> np.ndarray:
    """Return a memory-mapped, read-only array."""
    return np.asarray(np.load(path, mmap_mode="r"))


def remove(path: Path) -> None:
    """Remove a folder or a file, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _intact(folder: Path) -> Meta | None:
    """Return the metadata of a complete folder whose arrays match their checksums; a damaged one is logged."""
    try:
        meta = json.loads((folder / META).read_bytes())
        damaged = [name for name, crc in meta["crc32"].items() if _crc32(folder / name) != crc]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        damaged = [META]
    if not damaged:
        return meta
    notice_once(f"{folder / damaged[0]} is damaged; its folder is discarded and generated again.")
    return None


def _build(folder: Path, build: Callable[[Path], Meta | None]) -> Meta | None:
    draft = folder.with_name(f"{folder.name}.draft")
    remove(draft)  # of a killed process, as the lock is ours
    draft.mkdir()
    try:
        if (meta := build(draft)) is None:
            return None
        meta = {**meta, "crc32": {path.name: _crc32(path) for path in draft.glob("*.npy")}}
        (draft / META).write_text(json.dumps(meta))
        remove(folder)
        draft.rename(folder)
        return meta
    except OSError as error:
        error.filename = error.filename or str(draft)  # a full disk names no file
        raise
    finally:
        remove(draft)


def _crc32(path: Path) -> int:
    stat = path.stat()
    return _crc32_once(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _crc32_once(path: Path, inode: int, size: int, time: int) -> int:
    return zlib.crc32(np.memmap(path, np.uint8, "r")) if size else 0
