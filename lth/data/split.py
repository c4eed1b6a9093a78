"""Which images train, validate and test. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lth.config import Data
from lth.data import decoded, sources
from lth.data.decoded import BadImages, Decoded
from lth.data.made import Made
from lth.data.parts import Folders
from lth.errors import DataError
from lth.seeds import stream


@dataclass(frozen=True)
class Splits:
    """Indices ``train`` into ``train_images``, ``val`` into ``val_images``, ``test`` into ``test_images``; int64, sorted.

    Where the data set has no validation or test folder of its own, its images are those of ``train_images``.
    """

    train_images: Decoded
    val_images: Decoded
    test_images: Decoded
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    unused: tuple[str, ...] = ()  # folders beside those of the parts

    @property
    def classes(self) -> list[str]:
        return self.train_images.classes

    @property
    def drawn(self) -> tuple[str, ...]:
        """The parts that are drawn from the training folder, for want of a folder of their own."""
        parts = {"val": self.val_images, "test": self.test_images}
        return tuple(name for name, images in parts.items() if images is self.train_images)

    @property
    def folders(self) -> list[Decoded]:
        """Each folder of images once."""
        return list({id(images): images for images in (self.train_images, self.val_images, self.test_images)}.values())

    @property
    def fingerprint(self) -> str:
        """Of the contents of all files, their parts and how they are decoded; the same wherever the folders lie."""
        found = self.train_images.fingerprint
        if self.val_images is not self.train_images:
            found += f"+{self.val_images.fingerprint}"
        return found if self.test_images is self.train_images else f"{found}-{self.test_images.fingerprint}"


def stratified(
    labels: np.ndarray, fraction: float, seed: int, classes: list[str], name: str = "validation split"
) -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, part): ``part`` has ``fraction`` of each class, rounded, at least one and never all of it.

    ``name``: of the random stream. Raises DataError where a class has a single image, which cannot be in both.
    """
    part = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        if len(mine) < 2:
            raise DataError(f"the class {classes[label]} has a single image to train on; at least 2 are needed to hold one out.")
        count = min(max(1, round(fraction * len(mine))), len(mine) - 1)
        part.append(np.random.default_rng(stream(name, seed, int(label))).permutation(mine)[:count])
    chosen = np.sort(np.concatenate(part))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def leaked(splits: Splits) -> int:
    """How many test images are, byte by byte, images to train or to validate on too."""
    seen = _hashes(splits.train_images, splits.train) + _hashes(splits.val_images, splits.val)
    return _common(_hashes(splits.test_images, splits.test), seen)


def validated(splits: Splits) -> int:
    """How many validation images are, byte by byte, images to train on too."""
    return _common(_hashes(splits.val_images, splits.val), _hashes(splits.train_images, splits.train))


def _hashes(images: Decoded, indices: np.ndarray) -> list[bytes]:
    return [digest.tobytes() for digest in images.digests[indices]]


def _common(some: list[bytes], others: list[bytes]) -> int:
    seen = set(others)
    return sum(digest in seen for digest in some)


def contradictory(splits: Splits) -> int:
    """How many images lie, byte by byte, in more than one class."""
    classes: dict[bytes, set[int]] = {}
    for part in splits.folders:
        for digest, label in zip(part.digests, part.labels.tolist()):
            classes.setdefault(digest.tobytes(), set()).add(label)
    return sum(len(labels) > 1 for labels in classes.values())


def prepare(data: Data, before: Callable[[], None] = lambda: None) -> Splits:
    """Find, decode and split the images of ``data``. Raises DataError where that cannot be done.

    Args:
        before: called before images are downloaded, rendered or decoded, which takes long; it may raise.
    """
    own = sources.made(data)
    return _prepared(data, before) if own is None else _sound(data, own, before)


def _sound(data: Data, own: Made, before: Callable[[], None]) -> Splits:
    """Of images that were made here, which are made again if they are damaged."""
    fault = DataError(f"{data.cache} holds pixels that are not those of its {data.name}; delete it, and it is made again.")
    try:
        splits = _prepared(data, before)
        if own.recorded() == [splits.train_images.files, splits.test_images.files]:
            return splits
    except DataError as error:
        fault = error
    if not own.root.exists() or not own.mended():
        raise fault
    return _prepared(data, before)


def _prepared(data: Data, before: Callable[[], None]) -> Splits:
    folders = sources.locate(data, before)
    images, faults = {}, []
    for part in ("train", "val", "test"):
        try:
            folder = getattr(folders, part)
            images[part] = _load(data, folder, before) if folder else images.get("train")
        except BadImages as error:
            faults += error.faults
    if faults:
        raise BadImages(faults)
    return _split(data, folders, *images.values())


def _load(data: Data, folder: Path, before: Callable[[], None]) -> Decoded:
    listing, cache = sources.list_images(folder), Path(data.cache)
    return decoded.load(listing, data.image_size, cache, data.cache_limit, data.on_error, data.channels, before)


def _split(data: Data, folders: Folders, train_images: Decoded, val_images: Decoded, test_images: Decoded) -> Splits:
    _require_same_classes(train_images, val_images)
    _require_same_classes(train_images, test_images)
    train, test = np.arange(len(train_images.labels)), np.arange(len(test_images.labels))
    if folders.test is None:
        train, test = stratified(train_images.labels, data.test_fraction, data.split_seed, train_images.classes, "test split")
    val = np.arange(len(val_images.labels))
    if folders.val is None:
        rest, part = stratified(train_images.labels[train], data.val_fraction, data.split_seed, train_images.classes)
        train, val = train[rest], train[part]
    return Splits(train_images, val_images, test_images, train, val, test, folders.unused)


def _require_same_classes(one: Decoded, other: Decoded) -> None:
    if odd := sorted(set(one.classes) ^ set(other.classes)):
        raise DataError(f"{one.root} and {other.root} have different class folders: {', '.join(odd)} in one of them alone.")
