"""Which images train, validate and test. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lth.config import Data
from lth.data import decoded, sources
from lth.data.decoded import Decoded
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
        """The parts that are drawn from the training folder, as they have no folder of their own."""
        return tuple(part for part in ("val", "test") if getattr(self, f"{part}_images") is self.train_images)

    @property
    def hash(self) -> str:
        """A hash of the contents of all files, their parts and how they are decoded; the same wherever the folders lie."""
        val = "" if "val" in self.drawn else f"+{self.val_images.hash}"
        test = "" if "test" in self.drawn else f"-{self.test_images.hash}"
        return self.train_images.hash + val + test


def prepare(data: Data, before: Callable[[], None] = lambda: None) -> Splits:
    """Locate, decode and split the images of ``data``. Raises DataError where that cannot be done.

    ``before`` is called before images are downloaded, rendered or decoded, which takes long; it may raise.
    """
    folders = sources.locate(data, before)
    images = decoded.load(folders.train, data, before)
    val_images, test_images = (decoded.load(part, data, before) if part else images for part in (folders.val, folders.test))
    for other in (val_images, test_images):
        if odd := sorted(set(images.classes) ^ set(other.classes)):
            raise DataError(
                f"{images.root} and {other.root} have different class folders: only one of them has {', '.join(odd)}."
            )
    train, val, test = (np.arange(len(part.labels)) for part in (images, val_images, test_images))
    if test_images is images:
        train, test = stratified(images.labels, data.test_fraction, data.split_seed, images.classes, "test split")
    if val_images is images:
        rest, part = stratified(images.labels[train], data.val_fraction, data.split_seed, images.classes)
        train, val = train[rest], train[part]
    return Splits(images, val_images, test_images, train, val, test, folders.unused)


def stratified(
    labels: np.ndarray, fraction: float, seed: int, classes: list[str], name: str = "validation split"
) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (rest, part): ``part`` has ``fraction`` of each class, rounded, at least one and never all of it.

    ``name``: of the random stream. Raises DataError where a class has a single image, which cannot be in both.
    """
    part = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) < 2:
            raise DataError(f"the class {classes[label]} has a single image to train on; at least 2 are needed to hold one out.")
        count = min(max(1, round(fraction * len(of_class))), len(of_class) - 1)
        part.append(np.random.default_rng(stream(name, seed, int(label))).permutation(of_class)[:count])
    held = np.zeros(len(labels), bool)
    held[np.concatenate(part)] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
