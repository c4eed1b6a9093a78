"""Pixels are decoded once: a folder of images becomes one uint8 array in the cache. Imports no torch.

The array's folder is named by a hash of the files' names, sizes, times and inodes: a file of which these are as they were is
taken as unchanged, unless it was written just before it was decoded, or ``data.verify`` asks. A hash of the files' names and
contents goes into the key of every round; it is the same wherever the folder lies.
"""

import hashlib
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lth.config import Data
from lth.data.cache import Meta, load_or_build, read_array, shown, write_array
from lth.data.decode import decode, read
from lth.data.folders import list_images
from lth.errors import DataError

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # twice its limit is an error, which names the file
NAMED = 10  # files that cannot be decoded are named up to this number
CHUNK, MEGABYTES = 64, 16  # images that a thread decodes in turn, and their pixels, at most
RACY = 2 * 10**9  # nanoseconds, the coarsest clock of a file system: what is written within them may not change a file's time
VERSION = 1  # of the decoding below: counts up when the pixels of any file would change


@dataclass(frozen=True)
class Decoded:
    """The images of a folder that can be decoded, in order of their names.

    ``labels``: int64 (n,). ``file_hashes``: SHA-256 of each file, uint8 (n, 32). ``array``: uint8 (n, size, size, channels);
    None where it would be too large: the files are then decoded each time. ``skipped``: names of the other images.
    ``cached``: the file of ``array``, by which another process that this is sent to maps it as well.
    """

    root: Path
    classes: list[str]
    names: list[str]
    labels: np.ndarray
    skipped: list[str]
    file_hashes: np.ndarray
    array: np.ndarray | None
    size: int
    channels: int
    cached: Path

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"array": self.array is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"array": read_array(state["cached"]) if state["array"] else None})

    @cached_property
    def paths(self) -> list[Path]:
        return [self.root / name for name in self.names]

    @cached_property
    def hash(self) -> str:
        """What determines the pixels at any size, hashed: names and contents of the files, and how they are decoded."""
        digits = self.file_hashes.tobytes().hex()
        lines = [f"{name} {digits[64 * i : 64 * i + 64]}\n" for i, name in enumerate(self.names)]
        return f"{hashlib.sha256(''.join(lines).encode()).hexdigest()[:16]}.{VERSION}"

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the pixels of some images, uint8 (len(indices), size, size, channels), a copy."""
        if self.array is not None:
            return self.array.take(indices, axis=0)
        return np.stack([decode(self.paths[i], self.size, self.channels) for i in indices])


def load(root: Path, data: Data, before: Callable[[], None] = lambda: None) -> Decoded:
    """Return the images of a folder of class folders, from the cache or else decoded into it; ``before`` is called before that.

    Raises UsageError where ``data.classes`` is not accepted, DataError where files cannot be decoded and ``data.on_error`` is
    ``fail``, or where all of a class cannot.
    """
    classes, names, labels = list_images(root, data.classes)
    stream = len(names) * data.image_size**2 * data.channels > data.cache_limit * 1e9
    now, stats = time.time_ns(), [_stat(f"{root}/{name}") for name in names]
    key = f"{VERSION} {data.image_size} {data.channels} {data.on_error} {root.resolve()} {names} {stats}"
    folder = Path(data.cache) / f"{'stream' if stream else 'pixels'}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    times = np.array([stat[1] for stat in stats])
    build = partial(_build, root, names, data, stream, now)
    outdated = partial(_outdated, root, names, times, data.verify, folder / "hashes.npy")
    skipped = load_or_build(folder, build, before, outdated)["skipped"]
    left = _left(names, skipped)
    names, labels = [names[i] for i in left], np.asarray(labels, np.int64)[left]
    if empty := set(range(len(classes))) - set(labels.tolist()):
        raise DataError(f"no image in the class folder {root / classes[min(empty)]} can be decoded.")
    file_hashes, cached = read_array(folder / "hashes.npy"), folder / "images.npy"
    array = None if stream else read_array(cached)
    return Decoded(root, classes, names, labels, skipped, file_hashes, array, data.image_size, data.channels, cached)


def _stat(path: str) -> tuple[int, int, int]:
    """Return size in bytes, time of the last change in nanoseconds, and inode; zeros of a link to nowhere."""
    try:
        stat = os.stat(path)
        return stat.st_size, stat.st_mtime_ns, stat.st_ino
    except OSError:
        return 0, 0, 0


def _left(names: list[str], skipped: list[str]) -> list[int]:
    bad = set(skipped)
    return [i for i, name in enumerate(names) if name not in bad]


def _outdated(root: Path, names: list[str], times: np.ndarray, verify: bool, hashes: Path, meta: Meta) -> str:
    """Return that a file has another content than its hash says, or ''; those are read that may have changed without a trace."""
    left, file_hashes = _left(names, meta["skipped"]), read_array(hashes)
    for k in np.flatnonzero(verify | (times[left] >= meta["listed"] - RACY)).tolist():
        if hashlib.sha256(read(root / names[left[k]])).digest() != file_hashes[k].tobytes():
            return f"is outdated, as {root / names[left[k]]} has other contents"
    return ""


def _build(root: Path, names: list[str], data: Data, stream: bool, listed: int, draft: Path) -> Meta:
    """Decode all images; write their pixels, unless they are streamed, and the hashes of their files.

    ``listed``: when the files were listed, in nanoseconds.
    """
    shape = data.image_size, data.image_size, data.channels
    step = max(1, min(CHUNK, MEGABYTES * 2**20 // np.prod(shape).item()))
    hashes: list[bytes] = []
    faults: dict[str, str] = {}

    def chunk(begin: int) -> tuple[np.ndarray, list[bytes], dict[str, str]]:
        decoded, of_files, odd = [], [], {}
        for name in names[begin : begin + step]:
            path = f"{root}/{name}"
            try:
                content = read(path)
                decoded.append(decode(path, data.image_size, data.channels, content))
                of_files.append(hashlib.sha256(content).digest())
            except DataError as error:
                odd[name] = str(error)
        return np.stack(decoded) if decoded else np.empty((0, *shape), np.uint8), of_files, odd

    def pixels() -> Iterator[np.ndarray]:
        begins = range(0, len(names), step)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for part, of_files, odd in shown(pool.map(chunk, begins), len(begins), f"decoding {len(names):,} images"):
                hashes.extend(of_files)
                faults.update(odd)
                yield part

    deque(pixels(), 0) if stream else write_array(draft / "images.npy", pixels())
    if faults and data.on_error == "fail":
        first = "; ".join(fault.rstrip(".") for fault in [*faults.values()][:NAMED])
        raise DataError(f"{len(faults):,} of {len(names):,} images cannot be used: {first}. data.on_error=skip leaves them out.")
    np.save(draft / "hashes.npy", np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32))
    return {"skipped": list(faults), "listed": listed}
