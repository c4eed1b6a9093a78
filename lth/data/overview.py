"""What a run is about to use, in one line, and what is wrong with its images, in one sentence each. Imports no torch."""

import sys
from collections.abc import Callable
from functools import cache

from lth.config import Data
from lth.data.decoded import NAMED
from lth.data.split import Splits, contradictory, leaked, validated


def tell(splits: Splits, data: Data, say: Callable[[str], None]) -> None:
    """Say ``line``, and warn on stderr; once a process, not for each job of a sweep on the same images."""
    _tell(line(splits, data), tuple(warnings(splits)), say)


@cache
def _tell(about: str, faults: tuple[str, ...], say: Callable[[str], None]) -> None:
    say(about)
    for fault in faults:
        print(f"lth: warning: {fault}", file=sys.stderr)


def line(splits: Splits, data: Data) -> str:
    """``3 classes (cat, dog, fox): 306 train, 54 val (15% of train), 60 test images, 2 skipped``."""
    names = splits.classes if len(splits.classes) <= 10 else [*splits.classes[:5], f"and {len(splits.classes) - 5:,} more"]
    held_out = splits.val_images is splits.train_images
    val = f"{100 * data.val_fraction:.3g}% of train" if held_out else f"in {splits.val_images.root.name}/"
    test = f" ({100 * data.test_fraction:.3g}% of all)" if splits.test_images is splits.train_images else ""
    skipped = sum(len(images.skipped) for images in splits.folders)
    return (
        f"{len(splits.classes):,} classes ({', '.join(names)}): {len(splits.train):,} train, {len(splits.val):,} val ({val}), "
        f"{len(splits.test):,} test{test} images"
        + (f", {skipped:,} skipped" if skipped else "")
        + (f"; not used: {', '.join(splits.unused)}" if splits.unused else "")
    )


def warnings(splits: Splits) -> list[str]:
    """One sentence each on skipped images, on duplicates between parts, and on images in several classes."""
    found = []
    if skipped := [(images.root / name) for images in splits.folders for name in images.skipped]:
        first = ", ".join(map(str, skipped[:NAMED])) + (", and so on" if len(skipped) > NAMED else "")
        found.append(f"{_images(len(skipped))} cannot be decoded and {_are(len(skipped))} skipped: {first}.")
    if count := leaked(splits):
        what = f"{count:,} of {len(splits.test):,} test images {_are(count)} among the images to train or validate on"
        found.append(f"{what}, byte by byte; test accuracy is a little too good.")
    if count := validated(splits):
        what = f"{count:,} of {len(splits.val):,} validation images {_are(count)} among the images to train on"
        found.append(f"{what}, byte by byte; validation accuracy is a little too good, and early stop comes a little too late.")
    if count := contradictory(splits):
        what = f"{_images(count)} {'lies' if count == 1 else 'lie'} in more than one class"
        found.append(f"{what}, byte by byte; no network can tell them apart.")
    return found


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
