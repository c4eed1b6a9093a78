"""What a run is about to use, in one line, and what is wrong with its images, in one sentence each. Imports no torch."""

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache

import numpy as np

from lth.config import Data
from lth.data.decoded import NAMED, Decoded
from lth.data.split import Splits


def tell(splits: Splits, data: Data, say: Callable[[str], None]) -> None:
    """Say ``line``, and warn on stderr; once a process, not for each job of a sweep on the same images."""
    _tell(line(splits, data), tuple(warnings(splits)), say)


@cache
def _tell(about: str, faults: tuple[str, ...], say: Callable[[str], None]) -> None:
    say(about)
    for fault in faults:
        print(f"lth: warning: {fault}", file=sys.stderr)


def line(splits: Splits, data: Data) -> str:
    """Return ``3 classes (cat, dog, fox): 306 train, 54 val (15% of train), 60 test images, 2 skipped``."""
    names = splits.classes if len(splits.classes) <= 10 else [*splits.classes[:5], f"and {len(splits.classes) - 5:,} more"]
    val = f"{100 * data.val_fraction:.3g}% of train" if "val" in splits.drawn else f"in {splits.val_images.root.name}/"
    test = f" ({100 * data.test_fraction:.3g}% of all)" if "test" in splits.drawn else ""
    skipped = sum(len(images.skipped) for images in splits.folders)
    return (
        f"{len(splits.classes):,} classes ({', '.join(names)}): {len(splits.train):,} train, {len(splits.val):,} val ({val}), "
        f"{len(splits.test):,} test{test} images"
        + (f", {skipped:,} skipped" if skipped else "")
        + (f"; not used: {', '.join(splits.unused)}" if splits.unused else "")
    )


def duplicates(splits: Splits) -> tuple[int, int, int]:
    """Count images that are equal byte by byte: test images that also train or validate, validation images that also train,
    and images in more than one class."""
    train = _hashes(splits.train_images, splits.train)
    val, test = _hashes(splits.val_images, splits.val), _hashes(splits.test_images, splits.test)
    training, known = set(train), {*train, *val}
    of_class = {pair for images in splits.folders for pair in zip(_hashes(images), images.labels.tolist())}
    several = sum(count > 1 for count in Counter(file_hash for file_hash, _ in of_class).values())
    return sum(h in known for h in test), sum(h in training for h in val), several


def _hashes(images: Decoded, indices: np.ndarray | slice = slice(None)) -> list[bytes]:
    return [file_hash.tobytes() for file_hash in images.file_hashes[indices]]


def warnings(splits: Splits) -> list[str]:
    """Return one sentence each on skipped images, on duplicates between parts, and on images in several classes."""
    sentences = []
    if skipped := [str(images.root / name) for images in splits.folders for name in images.skipped]:
        names = ", ".join(skipped[:NAMED]) + (", and so on" if len(skipped) > NAMED else "")
        sentences.append(f"{_images(len(skipped))} cannot be decoded and {_are(len(skipped))} skipped: {names}.")
    test, val, several = duplicates(splits)
    if test:
        what = f"{test:,} of {len(splits.test):,} test images {_are(test)} among the images to train or validate on"
        sentences.append(f"{what}, byte by byte; test accuracy is a little too good.")
    if val:
        what = f"{val:,} of {len(splits.val):,} validation images {_are(val)} among the images to train on"
        sentences.append(
            f"{what}, byte by byte; validation accuracy is a little too good, and early stop comes a little too late."
        )
    if several:
        what = f"{_images(several)} {'lies' if several == 1 else 'lie'} in more than one class"
        sentences.append(f"{what}, byte by byte; no network can tell them apart.")
    return sentences


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
