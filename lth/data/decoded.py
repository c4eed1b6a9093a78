"""Pixels are decoded once: a folder of images becomes one uint8 array in the cache. Imports no torch.

The array's folder is named by a hash of the files' names, sizes and times. A hash of the files' names and contents goes into
the key of every round; it is the same wherever the folder lies.
"""

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lth.config import Data
from lth.data.cache import Meta, load_or_build, read_array, shown, write_array
from lth.data.decode import decode
from lth.data.folders import list_images
from lth.errors import DataError
from lth.hashes import of_file

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # twice its limit is an error, which names the file
NAMED = 10  # files that cannot be decoded are named up to this number
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
        total = hashlib.sha256()
        for name, file_hash in zip(self.names, self.file_hashes):
            total.update(f"{name} {file_hash.tobytes().hex()}\n".encode())
        return f"{total.hexdigest()[:16]}.{VERSION}"

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
    key = hashlib.sha256(f"{VERSION} {data.image_size} {data.channels} {data.on_error} {root.resolve()}".encode())
    for name in names:
        key.update(f"{name}\n".encode())
        with suppress(OSError):  # a link to nowhere
            stat = os.stat(f"{root}/{name}")
            key.update(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
    folder = Path(data.cache) / f"{'stream' if stream else 'pixels'}-{key.hexdigest()[:16]}"
    skipped = load_or_build(folder, partial(_build, root, names, data, stream), before)["skipped"]
    bad = set(skipped)
    left = [i for i, name in enumerate(names) if name not in bad]
    names, labels = [names[i] for i in left], np.asarray(labels, np.int64)[left]
    if empty := set(range(len(classes))) - set(labels.tolist()):
        raise DataError(f"no image in the class folder {root / classes[min(empty)]} can be decoded.")
    file_hashes, cached = read_array(folder / "hashes.npy"), folder / "images.npy"
    array = None if stream else read_array(cached)
    return Decoded(root, classes, names, labels, skipped, file_hashes, array, data.image_size, data.channels, cached)


def _build(root: Path, names: list[str], data: Data, stream: bool, draft: Path) -> Meta:
    """Decode all images; write their pixels, unless they are streamed, and the hashes of their files."""
    hashes: list[str] = []
    faults: dict[str, str] = {}

    def read(name: str) -> tuple[str, np.ndarray] | DataError:
        try:
            pixels = decode(root / name, data.image_size, data.channels)
            return of_file(root / name), pixels
        except DataError as error:
            return error

    def pixels() -> Iterator[np.ndarray]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for name, result in zip(names, shown(pool.map(read, names), len(names), f"decoding {len(names):,} images")):
                if isinstance(result, DataError):
                    faults[name] = str(result)
                else:
                    hashes.append(result[0])
                    yield result[1][None]

    deque(pixels(), 0) if stream else write_array(draft / "images.npy", pixels())
    if faults and data.on_error == "fail":
        first = "; ".join(fault.rstrip(".") for fault in [*faults.values()][:NAMED])
        raise DataError(f"{len(faults):,} of {len(names):,} images cannot be used: {first}. data.on_error=skip leaves them out.")
    np.save(draft / "hashes.npy", np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 32))
    return {"skipped": list(faults)}
