"""Pixels are decoded once: a folder of images becomes one uint8 array in the cache. Imports no torch.

The array's folder is named by a hash of the files' names, sizes and times. A hash of the files' names and contents goes into
the key of every round; it is the same wherever the folder lies.
"""

import errno
import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from lth.config import Data
from lth.data.cache import load_or_build, read_array, write_array
from lth.data.folders import Listing
from lth.data.progress import shown
from lth.errors import DataError
from lth.hashes import of_file

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # twice its limit is an error, which names the file
NAMED = 10  # files that cannot be decoded are named up to this number
VERSION = 1  # of the decoding below: counts up when the pixels of any file would change


class BadImages(DataError):
    """Files that cannot be read or decoded; ``faults`` has a clause on each."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        first = "; ".join(faults[:NAMED]) + ("; and so on" if len(faults) > NAMED else "")
        several = f"{len(faults):,} images cannot be used: {first}. data.on_error=skip leaves them out and goes on."
        super().__init__(several if len(faults) > 1 else f"{first}; data.on_error=skip leaves it out and goes on.")


@dataclass(frozen=True)
class Decoded:
    """The images of a folder that can be decoded, in order of their names.

    ``labels``: int64 (n,). ``file_hashes``: SHA-256 of each file, uint8 (n, 32). ``array``: uint8 (n, size, size, channels);
    None where it would be too large: the files are then decoded each time. ``skipped``: names of the other images.
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

    @cached_property
    def paths(self) -> list[Path]:
        return [self.root / name for name in self.names]

    @cached_property
    def hash(self) -> str:
        """What determines the pixels at any size, hashed: names and contents of the files, and how they are decoded."""
        return f"{images_hash(self.names, self.file_hashes)}.{VERSION}"

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return the pixels of some images, uint8 (len(indices), size, size, channels), a copy."""
        if self.array is not None:
            return self.array.take(indices, axis=0)
        return np.stack([decode(self.paths[i], self.size, self.channels) for i in indices])


def images_hash(names: Iterable[str], file_hashes: np.ndarray) -> str:
    """Return a hash of the names and the contents of images, 16 digits."""
    total = hashlib.sha256()
    for name, file_hash in zip(names, file_hashes):
        total.update(f"{name} {file_hash.tobytes().hex()}\n".encode())
    return total.hexdigest()[:16]


def decode(path: Path, size: int, channels: int = 3) -> np.ndarray:
    """Return one image as uint8 (size, size, channels): upright by EXIF, over white where transparent, first frame, resized.

    One channel is RGB's luminance (ITU-R 601-2), which leaves grey values as they are.
    Raises DataError naming the file where it cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            image = _rgb(ImageOps.exif_transpose(image))
            image = image.convert("L") if channels == 1 else image
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(size, size, channels)
    except Exception as error:  # whatever a damaged file makes its reader raise
        why = str(error).replace(f" {str(path)!r}", "") or type(error).__name__
        raise DataError(f"the image {path} cannot be decoded ({why}).") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def load(listing: Listing, data: Data, before: Callable[[], None] = lambda: None) -> Decoded:
    """Return the images of ``listing``, from the cache or else decoded into it; ``before`` is called before that.

    Raises BadImages where files cannot be decoded and ``data.on_error`` is ``fail``, DataError where all of a class cannot.
    """
    stream = len(listing.names) * data.image_size**2 * data.channels > data.cache_limit * 1e9
    folder = Path(data.cache) / f"{'stream' if stream else 'pixels'}-{_cache_name(listing, data)}"
    skipped = load_or_build(folder, partial(_build, listing, data, stream), before)["skipped"]
    names, labels = _without(listing, set(skipped))
    file_hashes, array = read_array(folder / "hashes.npy"), None if stream else read_array(folder / "images.npy")
    return Decoded(listing.root, listing.classes, names, labels, skipped, file_hashes, array, data.image_size, data.channels)


def _cache_name(listing: Listing, data: Data) -> str:
    total = hashlib.sha256(f"{VERSION} {data.image_size} {data.channels} {data.on_error} {listing.root.resolve()}".encode())
    for name in listing.names:
        try:
            stat = os.stat(f"{listing.root}/{name}")
            total.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        except OSError as error:  # a link to nowhere, or in a circle
            total.update(f"{name} {error.strerror}\n".encode())
    return total.hexdigest()[:16]


def _without(listing: Listing, skipped: set[str]) -> tuple[list[str], np.ndarray]:
    """Return names and labels of the other images. Raises DataError where none of a class is left."""
    left = [i for i, name in enumerate(listing.names) if name not in skipped]
    labels = np.asarray(listing.labels, dtype=np.int64)[left]
    if empty := set(range(len(listing.classes))) - set(labels.tolist()):
        raise DataError(f"no image in the class folder {listing.root / listing.classes[min(empty)]} can be decoded.")
    return [listing.names[i] for i in left], labels


def _build(listing: Listing, data: Data, stream: bool, draft: Path) -> dict[str, Any]:
    """Decode all images; write their pixels, unless they are streamed, and the hashes of their files."""
    hashes: list[str] = []
    faults: dict[str, str] = {}

    def pixels() -> Iterator[np.ndarray]:
        count = len(listing.names)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            read = pool.map(partial(_read, listing.root, data), listing.names)
            for name, result in zip(listing.names, shown(read, count, f"decoding {count:,} images")):
                if isinstance(result, str):
                    faults[name] = result
                else:
                    hashes.append(result[0])
                    yield result[1][None]
        if faults and data.on_error == "fail":
            raise BadImages(list(faults.values()))
        _without(listing, set(faults))

    deque(pixels(), 0) if stream else write_array(draft / "images.npy", pixels())
    np.save(draft / "hashes.npy", np.frombuffer(bytes.fromhex("".join(hashes)), np.uint8).reshape(-1, 32))
    return {"skipped": list(faults)}


def _read(root: Path, data: Data, name: str) -> tuple[str, np.ndarray] | str:
    """Return SHA-256 and pixels of a file, or a clause on why it has none."""
    path = root / name
    try:
        if path.exists() and not path.is_file():  # a pipe or a device could be read for ever
            raise OSError(errno.EINVAL, "it is no file")
        return of_file(path), decode(path, data.image_size, data.channels)
    except DataError as error:
        return str(error).rstrip(".")
    except OSError as error:
        return f"the image {path} cannot be read ({error.strerror})"
