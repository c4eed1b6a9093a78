"""Folders in a cache: built once, complete or absent. Imports no torch.

A build fills a draft folder, which is renamed when its meta.json is written. meta.json has the CRC-32 of each array.
"""

import json
import shutil
import sys
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from lth.errors import notice

META = "meta.json"
Meta = dict[str, Any]


def load_or_build(
    folder: Path,
    build: Callable[[Path], Meta | None],
    before: Callable[[], None] = lambda: None,
    outdated: Callable[[Meta], str] = lambda meta: "",
) -> Meta | None:
    """Return the metadata of a cache folder, which is built where it is missing, damaged or outdated.

    ``build`` fills the folder that it is called with and returns its metadata, or None: then nothing is cached. ``before`` is
    called before building; it may raise. ``outdated`` returns what of an intact folder does not hold any more, or ''.
    """
    if meta := _read(folder, outdated):
        return meta
    before()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        return _read(folder, outdated) or _build(folder, build)


def write_array(path: Path, parts: Iterable[np.ndarray]) -> None:
    """Write the consecutive parts (k, ...) of an array to a .npy file, however many there are; nothing where there is none."""
    count = 0
    with open(path, "wb") as file:
        for part in parts:
            part = np.ascontiguousarray(part)
            if not count:
                header = np.lib.format.header_data_from_array_1_0(part)
                np.lib.format.write_array_header_1_0(file, header)
            file.write(part.data)
            count += len(part)
        if count:
            file.seek(0)  # numpy pads the header, so that it can be rewritten with another length of the array
            np.lib.format.write_array_header_1_0(file, header | {"shape": (count, *part.shape[1:])})


def read_array(path: Path) -> np.ndarray:
    """Return a memory-mapped, read-only array."""
    return np.asarray(np.load(path, mmap_mode="r"))


def shown(items: Iterable[Any], total: int, what: str) -> Iterable[Any]:
    """Iterate over ``items``, ``total`` in number, under a bar; where stderr is no terminal, it is printed every 10 seconds."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(items, f"lth: {what}", total, delay=1, leave=False, mininterval=interval, file=sys.stderr)


def _read(folder: Path, outdated: Callable[[Meta], str]) -> Meta | None:
    """Return the metadata of an intact folder; a damaged or outdated one is logged."""
    if not folder.is_dir():
        return None
    why = "is damaged"
    with suppress(ValueError, KeyError, TypeError, OSError):
        meta = json.loads((folder / META).read_bytes())
        if meta["crc32"] == _checksums(folder) and not (why := outdated(meta)):
            return meta
    notice(f"{folder} {why}; it is discarded and generated again.")
    return None


def _build(folder: Path, build: Callable[[Path], Meta | None]) -> Meta | None:
    draft = folder.with_name(f"{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a killed process, as the lock is ours
    draft.mkdir()
    try:
        if (meta := build(draft)) is None:
            return None
        meta["crc32"] = _checksums(draft)
        (draft / META).write_text(json.dumps(meta))
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
        return meta
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _checksums(folder: Path) -> dict[str, int]:
    return {path.name: zlib.crc32(np.memmap(path, np.uint8, "r")) for path in folder.glob("*.npy")}
