"""Which images train, validate and test. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lth.config import Data
from lth.data import decoded, sources
from lth.data.decoded import Decoded
from lth.data.made import Made
from lth.data.sources import Folders
from lth.errors import DataError
from lth.seeds import stream


@dataclass(frozen=True)
class Splits:
    """Indices ``train`` and ``val`` into ``train_images``, ``test`` into ``test_images``; each int64, sorted."""

    train_images: Decoded
    test_images: Decoded
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray

    @property
    def classes(self) -> list[str]:
        return self.train_images.classes

    @property
    def drawn(self) -> tuple[str, ...]:
        """The parts that are drawn from the training folder, for want of a folder of their own."""
        return ("val", "test") if self.test_images is self.train_images else ("val",)

    @property
    def fingerprint(self) -> str:
        """Of the contents of all files and their parts; the same wherever the folders lie."""
        if self.test_images is self.train_images:
            return self.train_images.fingerprint
        return f"{self.train_images.fingerprint}-{self.test_images.fingerprint}"


def stratified(labels: np.ndarray, fraction: float, seed: int, name: str = "validation split") -> tuple[np.ndarray, np.ndarray]:
    """Indices (rest, part): ``part`` has ``fraction`` of each class, rounded, at least one and never all of it.

    ``name``: of the random stream. Raises DataError where a class has a single image, which cannot be in both.
    """
    part = []
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        if len(mine) < 2:
            raise DataError(f"class number {label} has a single training image; at least 2 are needed to validate on one.")
        count = min(max(1, round(fraction * len(mine))), len(mine) - 1)
        part.append(np.random.default_rng(stream(name, seed, int(label))).permutation(mine)[:count])
    chosen = np.sort(np.concatenate(part))
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def leaked(splits: Splits) -> int:
    """How many test images are, byte by byte, images to train or to validate on too."""
    learned = splits.train_images.digests[np.concatenate([splits.train, splits.val])]
    seen = {digest.tobytes() for digest in learned}
    return sum(digest.tobytes() in seen for digest in splits.test_images.digests[splits.test])


def contradictory(splits: Splits) -> int:
    """How many images lie, byte by byte, in more than one class."""
    classes: dict[bytes, set[int]] = {}
    both = [splits.train_images, splits.test_images][: 1 + (splits.test_images is not splits.train_images)]
    for part in both:
        for digest, label in zip(part.digests, part.labels.tolist()):
            classes.setdefault(digest.tobytes(), set()).add(label)
    return sum(len(labels) > 1 for labels in classes.values())


def prepare(data: Data) -> Splits:
    """Find, decode and split the images of ``data``. Raises DataError where that cannot be done."""
    own = sources.made(data)
    return _prepared(data, sources.locate(data)) if own is None else _sound(data, own)


def _sound(data: Data, own: Made) -> Splits:
    """Of images that were made here, which are made again if they are damaged."""
    fault = DataError(f"{data.cache} holds pixels that are not those of its {data.name}; delete it, and it is made again.")
    try:
        splits = _prepared(data, sources.locate(data))
        if own.recorded() == [splits.train_images.fingerprint, splits.test_images.fingerprint]:
            return splits
    except DataError as error:
        fault = error
    if not own.root.exists() or not own.mended():
        raise fault
    return _prepared(data, sources.locate(data))


def _prepared(data: Data, folders: Folders) -> Splits:

    def load(folder: Path) -> Decoded:
        listing, cache = sources.list_images(folder), Path(data.cache)
        return decoded.load(listing, data.image_size, cache, data.cache_limit, data.on_error, data.channels)

    train_images = load(folders.train)
    if folders.test is None:
        rest, test = stratified(train_images.labels, data.test_fraction, data.split_seed, "test split")
        test_images = train_images
    else:
        test_images = load(folders.test)
        rest, test = np.arange(len(train_images.labels)), np.arange(len(test_images.labels))
    if train_images.classes != test_images.classes:
        odd = sorted(set(train_images.classes) ^ set(test_images.classes))
        raise DataError(
            f"{folders.train} and {folders.test} have different class folders: {', '.join(odd)} in one of them alone."
        )
    train, val = stratified(train_images.labels[rest], data.val_fraction, data.split_seed)
    return Splits(train_images, test_images, rest[train], rest[val], test)
