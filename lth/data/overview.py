"""What a run is about to use, in one line, and what is wrong with its images, in one sentence each. Imports no torch."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from lth.config import Data
from lth.data.decoded import NAMED, Decoded
from lth.data.split import Splits
from lth.errors import notice_once


def tell(splits: Splits, data: Data, say: Callable[[str], None]) -> None:
    """Say ``line``, and warn on stderr; of each fault once in a process, not for each job of a sweep."""
    say(line(splits, data))
    for sentence in warnings(splits):
        notice_once(f"warning: {sentence}")


def line(splits: Splits, data: Data) -> str:
    """Return ``3 classes (cat, dog, fox): 306 train, 54 val (15% of train), 60 test images, 2 skipped``."""
    names = splits.classes if len(splits.classes) <= 10 else [*splits.classes[:5], "..."]
    val = f"{100 * data.val_fraction:.3g}% of train" if "val" in splits.drawn else f"in {splits.val_images.root.name}/"
    test = f" ({100 * data.test_fraction:.3g}% of all)" if "test" in splits.drawn else ""
    skipped = len(_skipped(splits))
    return (
        f"{len(splits.classes):,} classes ({', '.join(names)}): {len(splits.train):,} train, {len(splits.val):,} val ({val}), "
        f"{len(splits.test):,} test{test} images"
        + (f", {skipped:,} skipped" if skipped else "")
        + (f"; not used: {', '.join(splits.unused)}" if splits.unused else "")
    )


def warnings(splits: Splits) -> list[str]:
    """Return one sentence each on skipped images, and on images that are equal byte by byte in two parts or two classes."""
    train = set(_hashes(splits.train_images, splits.train))
    val, test = _hashes(splits.val_images, splits.val), _hashes(splits.test_images, splits.test)
    known = train.union(val)
    in_val, in_test = sum(h in train for h in val), sum(h in known for h in test)
    classes = {pair for images in _folders(splits) for pair in zip(_hashes(images), images.labels.tolist())}
    several = sum(count > 1 for count in Counter(file_hash for file_hash, _ in classes).values())
    skipped = _skipped(splits)
    names = ", ".join(skipped[:NAMED]) + (", and so on" if len(skipped) > NAMED else "")
    sentences = {
        f"images that cannot be decoded and are skipped: {len(skipped):,} ({names}).": skipped,
        f"test images that also train or validate, byte by byte: {in_test:,} of {len(test):,}; "
        "test accuracy is a little too good.": in_test,
        f"validation images that also train, byte by byte: {in_val:,} of {len(val):,}; "
        "validation accuracy is a little too good, and early stop comes a little too late.": in_val,
        f"images in more than one class, byte by byte: {several:,}; no network can tell them apart.": several,
    }
    return [sentence for sentence, concerned in sentences.items() if concerned]


def _folders(splits: Splits) -> list[Decoded]:
    return [splits.train_images, *(getattr(splits, f"{part}_images") for part in ("val", "test") if part not in splits.drawn)]


def _skipped(splits: Splits) -> list[str]:
    return [str(images.root / name) for images in _folders(splits) for name in images.skipped]


def _hashes(images: Decoded, indices: np.ndarray | slice = slice(None)) -> list[bytes]:
    content = images.file_hashes[indices].tobytes()
    return [content[i : i + 32] for i in range(0, len(content), 32)]
