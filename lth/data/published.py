"""MNIST and CIFAR-10: downloaded by torchvision, then written once as class folders. Imports no torch, but for a download."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from lth.data.made import Made, clear, sums
from lth.errors import DataError

NAMES = {"mnist": "MNIST", "cifar10": "CIFAR10"}  # here and in torchvision
PARTS = ("train", "test")
MANIFEST = "sums.json"


def made(name: str, cache: Path) -> Made:
    """The folder cache/name with train/<class>/<number>.png and test/<class>/<number>.png."""
    return Made(cache / name, PARTS, MANIFEST, partial(_make, name, cache))


def fetch(name: str, cache: Path) -> Path:
    """``made``'s folder, downloaded and written if need be.

    Raises DataError, saying what to do instead, where the download fails.
    """
    root = made(name, cache).root
    if not root.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{root}.lock"):
            if not root.is_dir():
                _make(name, cache)
    return root


def _make(name: str, cache: Path) -> None:
    download = cache / f"{name}.download"
    write(_downloaded(name, download), cache / name)
    shutil.rmtree(download, ignore_errors=True)


def _downloaded(name: str, folder: Path) -> dict[str, Any]:
    try:
        from torchvision import datasets

        return {part: getattr(datasets, NAMES[name])(folder, train=part == "train", download=True) for part in PARTS}
    except Exception as error:  # whatever the network or a damaged file makes torchvision say
        raise DataError(
            f"the download of {NAMES[name]} failed ({type(error).__name__}). Put its images anywhere as class folders, "
            "train/<class>/ and test/<class>/, and name their folder with data.root=DIR."
        ) from error


def write(parts: dict[str, Any], root: Path) -> None:
    """Write root/<part>/<class>/<number>.png of data sets like torchvision's: ``classes``, and (PIL image, label) in order.

    A class is called by its first word (MNIST's are ``0 - zero`` and so on). The folder appears at once, when it is whole, with
    its sums; what was there before goes.
    """
    draft = root.with_name(root.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    for part, images in parts.items():
        folders = [draft / part / _plain(name.split()[0]) for name in images.classes]
        for folder in folders:
            folder.mkdir(parents=True)
        for number in range(len(images)):
            image, label = images[number]
            image.save(folders[label] / f"{number:05d}.png")
    (draft / MANIFEST).write_text(json.dumps({"sums": sums(draft, parts)}) + "\n")
    clear(root)
    draft.rename(root)


def _plain(name: str) -> str:
    """The name, if it is one of a folder inside another; raises DataError for one that would lead elsewhere."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise DataError(f"the download has a class called {name!r}, which is no name for a folder.")
    return name
