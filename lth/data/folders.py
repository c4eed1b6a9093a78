"""Folders of images: which of them train, validate and test, and which files they hold. Imports no torch.

A data set is one folder a class, or a ``train`` folder of those, with ``test`` and ``val`` beside it or not. Folders that
could be parts or classes are refused: otherwise a network of the two classes Train and Test would train without a warning.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from lth.config import require
from lth.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")  # of images
PARTS = {
    "train": ("train", "training", "seg_train"),
    "val": ("val", "valid", "validation", "seg_val"),
    "test": ("test", "testing", "seg_test"),
}


@dataclass(frozen=True)
class Folders:
    """The parts of a data set, which hold one folder a class; without ``val`` or ``test``, ``train`` is to be split."""

    train: Path
    val: Path | None = None
    test: Path | None = None
    unused: tuple[str, ...] = ()  # names of other folders beside them


def find(root: Path) -> Folders:
    """Return the parts of a data set. Raises DataError where ``root`` is no folder, or its folders could be parts or classes."""
    if not root.is_dir():
        raise DataError(f"data.root={root} is no folder (an archive is to be unpacked).")
    names = subfolders(root)
    parts = {part: [name for name in names if name.casefold() in accepted] for part, accepted in PARTS.items()}
    named = [name for same in parts.values() for name in same]
    other = [name for name in names if name not in named]
    nested = [name for name in named if subfolders(root / name)]
    split = any(name in nested for name in parts["train"])
    if split:
        images = any(_is_image(file) for name in other for file in os.listdir(root / name))
        unclear = any(len(same) > 1 for same in parts.values()) or (images and not parts["val"] and not parts["test"])
    else:  # one of the classes may be called train
        unclear = nested or len(named) > 1 or (named and not other)
    if unclear:
        raise DataError(
            f"it is not clear which folders of {root} ({', '.join(names[:10])}) are parts and which are classes; data.root takes "
            "one folder a class, or train/ with one folder a class in it, and test/ and val/ likewise or not (also seg_train, "
            "valid, validation and so on, in capitals or not)."
        )
    if not split:
        return Folders(root)
    found = [root / same[0] if same else None for same in parts.values()]
    # Kaggle's archive has seg_train/seg_train/<class>.
    found = [part / part.name if part and subfolders(part) == [part.name] else part for part in found]
    return Folders(*found, tuple(other))


def subfolders(folder: Path) -> list[str]:
    """Return the sorted names of the folders in ``folder``, without hidden ones and macOS's archive leftovers."""
    return sorted(d.name for d in folder.iterdir() if d.is_dir() and not d.name.startswith((".", "__MACOSX")))


def chosen_classes(root: Path, wanted: str = "all") -> list[str]:
    """Return the sorted names of the class folders of ``root`` that ``data.classes`` names; at least two.

    Raises:
        UsageError: a folder that is named does not exist, or less than two are named.
        DataError: ``root`` holds less than two.
    """
    classes = subfolders(root)
    if len(classes) < 2:
        raise DataError(f"{root} holds {len(classes)} class folders; at least 2 are needed, with the images of a class in each.")
    if wanted == "all":
        return classes
    named = set(wanted.split("+"))
    accepted = f"all, or at least two of {', '.join(classes[:20])}{', ...' * (len(classes) > 20)}, joined by '+'"
    require(len(named) > 1 and named <= set(classes), "data.classes", wanted, accepted)
    return sorted(named)


def list_images(root: Path, wanted: str = "all") -> tuple[list[str], list[str], list[int]]:
    """Return classes, and the name relative to ``root`` and the label of each image file below its class folders, sorted.

    Hidden files are passed over, linked folders not followed. Raises DataError where a class has no images or a name is not
    UTF-8, and see ``chosen_classes``.
    """
    classes, names, labels = chosen_classes(root, wanted), [], []
    for label, name in enumerate(classes):
        of_class = []
        for folder, inner, files in os.walk(f"{root}/{name}"):
            inner[:] = [d for d in inner if not d.startswith(".")]
            start = folder.removeprefix(f"{root}/")
            of_class += [f"{start}/{file}" for file in files if _is_image(file)]
        if not of_class:
            raise DataError(f"the class folder {root / name} holds no image.")
        names += sorted(of_class, key=lambda path: path.replace("/", "\0"))  # folder by folder
        labels += [label] * len(of_class)
    for name in names:
        if not name.isascii() and any("\ud800" <= character <= "\udfff" for character in name):
            raise DataError(f"the name {f'{root}/{name}'!a} is no UTF-8; rename it.")
    return classes, names, labels


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
