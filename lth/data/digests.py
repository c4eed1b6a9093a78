"""Hashes of image files: of each one, by which leaks are found, and of all, which is in the key of every round. No torch."""

import errno
import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lth.data import kept
from lth.errors import DataError, notice

FILE = "digests.bin"


def fingerprint(digests: Iterable[tuple[str, str]]) -> str:
    """A hash of the names and the contents of images, from (name, SHA-256) of each."""
    total = hashlib.sha256()
    for name, digest in digests:
        total.update(f"{name} {digest}\n".encode())
    return total.hexdigest()[:16]


def of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError, also for what is no file and could be read for ever: a pipe, a device."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(place: Path, digests: Iterable[str]) -> None:
    place.write_bytes(bytes.fromhex("".join(digests)))


def load(folder: Path, root: Path, paths: list[Path], about: dict[str, Any]) -> np.ndarray:
    """SHA-256 of each file, uint8 (n, 32), from a cache; made anew where that is damaged, or older than they are.

    Args:
        folder: of the cache, whose meta.json is ``about``.
        root: what the files' names are relative to.

    Raises:
        DataError: the files are others than those that ``about`` has the fingerprint of.
    """
    place, names = folder / FILE, [path.relative_to(root).as_posix() for path in paths]
    if (found := _read(place, names, about)) is None:
        with FileLock(f"{folder}.lock"):
            if (found := _read(place, names, about)) is None:
                _remake(place, paths)
                found = _read(place, names, about)
    if found is None:
        raise DataError(f"the images of {root} are not those that {folder} was made of; delete that, and it is made again.")
    return found


def _remake(place: Path, paths: list[Path]) -> None:
    if os.path.lexists(place):
        notice(f"{place} is damaged; it is made again.")
        kept.remove(place)
    draft = place.with_suffix(".draft")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        write(draft, pool.map(of, paths))
    draft.replace(place)


def _read(place: Path, names: list[str], about: dict[str, Any]) -> np.ndarray | None:
    """The digests of the named files; None where there are none, or others than the fingerprint is of."""
    if not place.is_file() or place.stat().st_size != 32 * len(names):
        return None
    found = np.fromfile(place, np.uint8).reshape(len(names), 32)
    told = zip(names, (digest.tobytes().hex() for digest in found))
    return found if fingerprint(told) == about["fingerprint"] else None
