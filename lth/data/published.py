"""MNIST and CIFAR-10: downloaded by torchvision, then written once as class folders. Imports no torch, but for a download."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from lth.data.made import Made, clear, sums
from lth.data.progress import shown
from lth.errors import DataError
from lth.network import reachable

NAMES = {"mnist": "MNIST", "cifar10": "CIFAR10"}  # here and in torchvision
HOSTS = {"mnist": "ossci-datasets.s3.amazonaws.com", "cifar10": "www.cs.toronto.edu"}  # that torchvision downloads from
PARTS = ("train", "test")
BY_HAND = (
    "Put its images anywhere as class folders, train/<class>/ and test/<class>/, and name their folder with data.root=DIR, "
    "or use data=scenes, which needs no download."
)
MANIFEST = "sums.json"


def made(name: str, cache: Path) -> Made:
    """The folder cache/name with train/<class>/<number>.png and test/<class>/<number>.png."""
    return Made(cache / name, PARTS, MANIFEST, partial(_make, name, cache))


def require(name: str, cache: Path) -> None:
    """Raise DataError, within seconds, where the images are not there and cannot be downloaded."""
    there = made(name, cache).root.is_dir() or _download(name, cache).is_dir()
    if not there and not reachable(HOSTS[name]):
        raise DataError(f"{NAMES[name]} is downloaded from {HOSTS[name]}, which does not answer. {BY_HAND}")


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
    download = _download(name, cache)
    write(_downloaded(name, download), cache / name)
    shutil.rmtree(download, ignore_errors=True)


def _download(name: str, cache: Path) -> Path:
    return cache / f"{name}.download"


def _downloaded(name: str, folder: Path) -> dict[str, Any]:
    try:
        from torchvision import datasets

        return {part: getattr(datasets, NAMES[name])(folder, train=part == "train", download=True) for part in PARTS}
    except Exception as error:  # whatever the network or a damaged file makes torchvision say
        raise DataError(f"the download of {NAMES[name]} failed ({type(error).__name__}). {BY_HAND}") from error


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
        for number in shown(range(len(images)), len(images), f"writing {len(images):,} {part} images as class folders"):
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
