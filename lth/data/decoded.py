"""Pixels are decoded once: a folder of images becomes one uint8 array on disk. Imports no torch.

The array's name is a hash of the files' names, sizes and times; the *fingerprint*, a hash of their contents, is kept
beside it and goes into the key of every round, wherever the folder lies.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image, ImageOps

from lth.data import digests, kept
from lth.data.progress import shown
from lth.data.sources import Listing
from lth.errors import DataError

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
    """``images`` gives a batch for an array of indices; ``labels`` int64 (n,); ``files`` hashes the files' names and contents."""

    images: "Cached | Streamed"
    labels: np.ndarray
    classes: list[str]
    paths: list[Path]
    files: str
    skipped: list[str]  # paths relative to ``root``
    digests: np.ndarray  # uint8 (n, 32), SHA-256 of each file
    root: Path

    @property
    def fingerprint(self) -> str:
        """A hash of what determines the pixels at any size: the files, and how they are decoded."""
        return f"{self.files}.{VERSION}"

    @property
    def pixels(self) -> int:
        """Height times width of an image."""
        side = self.images.size if isinstance(self.images, Streamed) else self.images.array.shape[1]
        return side * side

    @property
    def streamed(self) -> bool:
        return isinstance(self.images, Streamed)


@dataclass(frozen=True)
class Cached:
    """All pixels in one memory-mapped array, uint8 (n, size, size, channels); looked over when it is first used.

    ``about``: its meta.json; ``make`` decodes it again where it is damaged.
    """

    folder: Path
    about: dict[str, Any]
    make: Callable[[], Any]

    @cached_property
    def array(self) -> np.ndarray:
        return kept.array(self.folder, self.about, self.make)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), size, size, channels), a copy."""
        return self.array.take(indices, axis=0)


@dataclass(frozen=True)
class Streamed:
    """Files that are decoded each time they are asked for, where the array would be too large."""

    paths: list[Path]
    size: int
    channels: int = 3

    def take(self, indices: np.ndarray) -> np.ndarray:
        """uint8 (len(indices), size, size, channels)."""
        return np.stack([decode(self.paths[i], self.size, self.channels) for i in indices])


def decode(path: Path, size: int, channels: int = 3) -> np.ndarray:
    """One image as uint8 (size, size, channels): upright by EXIF, RGB, over white where transparent, first frame, resized.

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
    except Exception as error:  # whatever a damaged file makes its reader say
        why = str(error).replace(f" {str(path)!r}", "") or type(error).__name__
        raise DataError(f"the image {path} cannot be decoded ({why}).") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def load(
    listing: Listing,
    size: int,
    cache: Path,
    limit: float = 16.0,
    on_error: str = "fail",
    channels: int = 3,
    before: Callable[[], None] = lambda: None,
) -> Decoded:
    """The images of ``listing`` at ``size`` pixels, from ``cache`` if they are there, else decoded into it.

    Args:
        limit: gigabytes of pixels above which the files are streamed instead.
        on_error: ``fail`` or ``skip``, what an undecodable file does.
        channels: 1 (grey) or 3 (RGB).
        before: called before images are decoded, which takes long.

    Raises:
        BadImages: files cannot be decoded and ``on_error`` is ``fail``.
        DataError: nothing is left of a class.
    """
    stream = len(listing.paths) * size * size * channels > limit * 1e9
    folder = cache / f"{'stream' if stream else 'pixels'}-{_name(listing, size, on_error, channels)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    build = partial(_build, listing, size, folder, stream, on_error, channels)
    if (meta := kept.meta(folder)) is None:
        before()
        with FileLock(f"{folder}.lock"):
            meta = kept.meta(folder) or build()
    bad = set(meta["skipped"])
    keep = [i for i, p in enumerate(listing.paths) if p.relative_to(listing.root).as_posix() not in bad]
    paths = [listing.paths[i] for i in keep]
    images = Streamed(paths, size, channels) if stream else Cached(folder, meta, partial(_again, build, meta))
    labels = np.asarray(listing.labels, dtype=np.int64)[keep]
    if empty := [name for label, name in enumerate(listing.classes) if label not in labels]:
        raise DataError(f"no image in the class folder {listing.root / empty[0]} can be decoded.")
    hashes = digests.load(folder, listing.root, paths, meta)
    return Decoded(images, labels, listing.classes, paths, meta["fingerprint"], meta["skipped"], hashes, listing.root)


def _name(listing: Listing, size: int, on_error: str, channels: int) -> str:
    shape = size if channels == 3 else f"{size}x{channels}"  # arrays that were there before there were channels keep their name
    total = hashlib.sha256(f"{VERSION} {shape} {on_error} {listing.root.resolve()}".encode())
    for path in listing.paths:
        try:
            stat = path.stat()
        except OSError as error:  # a link to nowhere, or in a circle
            total.update(f"{path.relative_to(listing.root).as_posix()} {error.strerror}\n".encode())
            continue
        total.update(f"{path.relative_to(listing.root).as_posix()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return total.hexdigest()[:16]


def _again(build: Callable[[], dict[str, Any]], meta: dict[str, Any]) -> None:
    """Decode what was decoded before. Raises DataError where the images are others now: rounds have their fingerprint."""
    if build()["fingerprint"] != meta["fingerprint"]:
        raise DataError(f"the images of {meta['root']} have changed; the same command begins with those that are there now.")


def _build(listing: Listing, size: int, folder: Path, stream: bool, on_error: str, channels: int) -> dict[str, Any]:
    """Decode all images into a kept folder; returns its meta.json."""
    draft = kept.draft(folder)
    skipped: list[str] = []
    hashes: dict[str, str] = {}
    shape = (len(listing.paths), size, size, channels)
    array = None if stream else kept.empty(draft / "images.npy", np.uint8, shape)
    read = partial(_read, size=size, channels=channels)
    faults: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done, count = pool.map(read, listing.paths), len(listing.paths)
        for path, (digest, pixels, fault) in zip(listing.paths, shown(done, count, f"decoding {count:,} images")):
            name = path.relative_to(listing.root).as_posix()
            if pixels is None:
                skipped.append(name)
                faults.append(fault)
                continue
            if array is not None:
                array[len(hashes)] = pixels
            hashes[name] = digest
    if faults and on_error == "fail":
        kept.remove(draft)
        raise BadImages(faults)
    if array is not None:
        array.flush()
        if skipped:
            np.save(draft / "images.npy", np.array(array[: len(hashes)]))
    digests.write(draft / digests.FILE, hashes.values())
    about = {"fingerprint": digests.fingerprint(hashes.items()), "skipped": skipped, "root": str(listing.root)}
    return kept.finish(draft, folder, None if stream else "images.npy", about)


def _read(path: Path, size: int, channels: int) -> tuple[str, np.ndarray | None, str]:
    """SHA-256 and pixels of a file, or why it has none."""
    try:
        return digests.of(path), decode(path, size, channels), ""
    except DataError as error:
        return "", None, str(error).rstrip(".")
    except OSError as error:
        return "", None, f"the image {path} cannot be read ({error.strerror})"
