"""Folders of images: which of them train, validate and test, and which files they hold. Imports no torch.

A data set is one folder a class, or a ``train`` folder of those, with ``test`` and ``val`` beside it or not. Folders that
could be parts or classes are refused: otherwise a network of the two classes Train and Test would train without a warning.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lth.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}  # of images
PARTS = {
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
    """The parts of a data set, which hold one folder a class; without ``val`` or ``test``, ``train`` is to be split."""

    train: Path
    val: Path | None = None
    test: Path | None = None
    unused: tuple[str, ...] = ()  # names of other folders beside them


@dataclass(frozen=True)
class Listing:
    """The images of one folder of class folders: ``names`` relative to ``root``, sorted part by part, and their labels."""

    root: Path
    classes: list[str]
    names: list[str]
    labels: list[int]


def find(root: Path) -> Folders:
    """Return the parts of a data set. Raises DataError where ``root`` is no folder, or its folders could be parts or classes."""
    if root.is_file():
        raise DataError(f"data.root={root} is a file: if it is an archive, unpack it and name the folder that it gives.")
    if not root.is_dir():
        raise DataError(f"data.root={root} is no folder.")
    names = subfolders(root)
    parts = {part: [name for name in names if name.casefold() in accepted] for part, accepted in PARTS.items()}
    for same in parts.values():
        if len(same) > 1:
            raise DataError(f"{root} has {' and '.join(same)}, which are names of the same part; {ACCEPTED}.")
    named = [name for same in parts.values() for name in same]
    other = [name for name in names if name not in named]
    nested = [name for name in named if subfolders(root / name)]
    train, val, test = (same[0] if same else None for same in parts.values())
    if train not in nested:
        if nested:
            raise DataError(f"{root} has class folders in {nested[0]}, but no train/ with class folders; {ACCEPTED}.")
        if len(named) > 1 or (named and not other):
            which = f"{' and '.join(named)} without class folders in them, as if they were classes"
            raise DataError(f"{root} has {which}; {ACCEPTED}.")
        return Folders(root)
    if not val and not test and (classes := [name for name in other if any(map(_is_image, os.listdir(root / name)))]):
        raise DataError(f"{root} has images in {', '.join(classes[:5])} beside class folders in {train}; {ACCEPTED}.")
    return Folders(*(_undouble(root / name) if name else None for name in (train, val, test)), tuple(other))


def _undouble(folder: Path) -> Path:
    """Kaggle's archive has seg_train/seg_train/<class>; a class may be called train."""
    inner = subfolders(folder)
    double = len(inner) == 1 and inner[0].casefold() == folder.name.casefold() and subfolders(folder / inner[0])
    return folder / inner[0] if double else folder


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in ``folder``, without hidden ones and macOS's archive leftovers."""
    return sorted(d.name for d in folder.iterdir() if d.is_dir() and not d.name.startswith((".", "__MACOSX")))


def list_images(root: Path) -> Listing:
    """List every image file below the class folders of ``root``, but hidden ones.

    Raises DataError where there are fewer than two classes, a class without images, or a name that is not UTF-8.
    """
    classes = subfolders(root)
    if len(classes) < 2:
        inner = f"; did you mean {root / classes[0]}?" if classes and len(subfolders(root / classes[0])) > 1 else "."
        raise DataError(
            f"{root} holds {len(classes)} class folders; at least 2 are needed, one for each class, with images in them{inner}"
        )
    names, labels = [], []
    for label, name in enumerate(classes):
        of_class = sorted(_images_below(root, name), key=lambda path: path.split("/"))
        for path in (name, *of_class):
            try:
                f"{root}/{path}".encode()
            except UnicodeEncodeError:
                raise DataError(f"the name {f'{root}/{path}'!a} is no UTF-8; rename it.") from None
        if not of_class:
            raise DataError(f"the class folder {root / name} holds no image.")
        names += of_class
        labels += [label] * len(of_class)
    return Listing(root, classes, names, labels)


def _images_below(root: Path, name: str) -> list[str]:
    """Return names relative to ``root``; linked folders are not followed."""
    names = []
    for folder, inner, files in os.walk(root / name):
        inner[:] = [d for d in inner if not d.startswith(".")]
        start = os.path.relpath(folder, root)
        names += [os.path.join(start, file) for file in files if _is_image(file) and not file.startswith(".")]
    return names


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES
