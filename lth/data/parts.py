"""Which folders of a data set train, validate and test, by their names. Imports no torch.

A data set is one folder a class, or a ``train`` folder of those, with ``test`` and ``val`` beside it or not. What could be
both is refused, because a network of the two classes Train and Test would train without a word.
"""

from dataclasses import dataclass
from pathlib import Path

from lth.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}  # of images
NAMES = {
    "train": ("train", "training", "seg_train"),
    "val": ("val", "valid", "validation", "seg_val"),
    "test": ("test", "testing", "seg_test"),
}
ACCEPTED = (
    "data.root takes one folder a class, or train/ with one folder a class in it, and test/ and val/ likewise "
    "or not (also seg_train, valid, validation and so on, in capitals or not)"
)


@dataclass(frozen=True)
class Folders:
    """``train``, ``val`` and ``test`` hold one folder a class; without ``val`` or ``test``, ``train`` is to be split.

    ``unused``: names of other folders beside them.
    """

    train: Path
    val: Path | None = None
    test: Path | None = None
    unused: tuple[str, ...] = ()


def find(root: Path) -> Folders:
    """The parts of a data set. Raises DataError where ``root`` is no folder, or where its folders could be parts or classes."""
    if root.is_file():
        raise DataError(f"data.root={root} is a file: if it is an archive, unpack it and name the folder that it gives.")
    if not root.is_dir():
        raise DataError(f"data.root={root} is no folder.")
    names = folders(root)
    parts = {part: [name for name in names if name.casefold() in known] for part, known in NAMES.items()}
    for same in parts.values():
        if len(same) > 1:
            raise DataError(f"{root} has {' and '.join(same)}, which are names of the same part; {ACCEPTED}.")
    named = [name for same in parts.values() for name in same]
    other = [name for name in names if name not in named]
    nested = [name for name in named if folders(root / name)]
    train, val, test = (same[0] if same else None for same in parts.values())
    if train not in nested:
        _require_classes(root, named, nested, other)
        return Folders(root)
    if not val and not test and (classes := [name for name in other if _holds_images(root / name)]):
        raise DataError(f"{root} has images in {', '.join(classes[:5])} beside class folders in {train}; {ACCEPTED}.")
    return Folders(*(_undouble(root / name) if name else None for name in (train, val, test)), tuple(other))


def _require_classes(root: Path, named: list[str], nested: list[str], other: list[str]) -> None:
    """Raise DataError unless the folders of ``root``, of which none is a training part, are those of classes."""
    if nested:
        raise DataError(f"{root} has class folders in {nested[0]}, but no train/ with class folders; {ACCEPTED}.")
    if len(named) > 1 or (named and not other):
        raise DataError(f"{root} has {' and '.join(named)} without class folders in them, as if they were classes; {ACCEPTED}.")


def _undouble(folder: Path) -> Path:
    """Kaggle's archive has seg_train/seg_train/<class>; a class may be called train."""
    inner = folders(folder)
    double = len(inner) == 1 and inner[0].casefold() == folder.name.casefold() and folders(folder / inner[0])
    return folder / inner[0] if double else folder


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def folders(folder: Path) -> list[str]:
    """Names of the folders in ``folder``, sorted, but hidden ones and macOS's archive leftovers."""
    return sorted(d.name for d in folder.iterdir() if d.is_dir() and not d.name.startswith((".", "__MACOSX")))
