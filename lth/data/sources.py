"""Where the images come from: a folder of the user's, a download, or the renderer. Imports no torch, but for a download.

MNIST and CIFAR-10 are downloaded by torchvision and written once as class folders; Kaggle's Intel scenes by kagglehub, which
needs no account for a public set, continues a broken download and compares the archive with its MD5.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lth.config import Data
from lth.data import folders, scenes
from lth.data.cache import META, Meta, load_or_build, shown
from lth.errors import DataError
from lth.internet import reachable

NAMES = {"intel": "puneet6060/intel-image-classification", "mnist": "MNIST", "cifar10": "CIFAR10"}  # on Kaggle, in torchvision
HANDLE = f"{NAMES['intel']}/versions/2"  # with a version, kagglehub asks the network for nothing once it is downloaded
HOSTS = {"intel": "www.kaggle.com", "mnist": "ossci-datasets.s3.amazonaws.com", "cifar10": "www.cs.toronto.edu"}
BY_HAND = (
    "Put its images anywhere as class folders, train/<class>/ and test/<class>/, and name their folder with data.root=DIR, "
    "or use data=scenes, which needs no download."
)


def require(data: Data) -> None:
    """Raise DataError, within seconds, where there are no images and no way to them: no folder, no network."""
    if data.root is not None:
        folders.find(Path(data.root).expanduser())
    elif data.name == "folder":
        raise DataError("data.root=null is not accepted with data=folder: it takes the folder of your images.")
    elif data.name in HOSTS and not _downloaded(data) and not reachable(HOSTS[data.name]):
        raise DataError(f"{NAMES[data.name]} is downloaded from {HOSTS[data.name]}, which does not answer. {BY_HAND}")


def locate(data: Data, before: Callable[[], None] = lambda: None) -> folders.Folders:
    """Return the folders of ``data``, downloaded or rendered if need be; ``before`` is called before that.

    Raises DataError where there are none.
    """
    require(data)
    cache = Path(data.cache)
    if data.root is not None:
        root = Path(data.root).expanduser()
    elif data.name == "intel":
        root = _intel(data, before)
    elif data.name == "scenes":
        counts, seed = (data.train_per_class, data.test_per_class), data.render_seed
        root = cache / f"scenes-v{scenes.VERSION}-{counts[0]}-{counts[1]}-{seed}"
        load_or_build(root, partial(scenes.write, counts, seed), before)
    else:
        root, download = cache / data.name, cache / f"{data.name}.download"
        load_or_build(root, partial(_torchvision, NAMES[data.name], download), before)
        shutil.rmtree(download, ignore_errors=True)
    return folders.find(root)


def _downloaded(data: Data) -> bool:
    if data.name != "intel":
        return Path(data.cache, data.name, META).exists() or Path(data.cache, f"{data.name}.download").is_dir()
    # kagglehub leaves an empty file beside the folder of versions when it has unpacked one.
    folder = Path(os.environ.get("KAGGLEHUB_CACHE", str(Path.home() / ".cache" / "kagglehub")), "datasets", HANDLE)
    return folder.is_dir() and (folder.parent.parent / f"{folder.name}.complete").exists()


def _intel(data: Data, before: Callable[[], None]) -> Path:
    if not _downloaded(data):
        before()
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network, the hub or the account raises
        raise DataError(f"the download of {NAMES['intel']} failed ({type(error).__name__}). {BY_HAND}") from error


def _torchvision(name: str, download: Path, draft: Path) -> Meta:
    """Write draft/<part>/<class>/<number>.png; a class is called by its first word (MNIST's are ``0 - zero`` and so on)."""
    try:
        from torchvision import datasets

        parts = {part: getattr(datasets, name)(download, train=part == "train", download=True) for part in ("train", "test")}
    except Exception as error:  # whatever the network or a damaged file makes torchvision raise
        raise DataError(f"the download of {name} failed ({type(error).__name__}). {BY_HAND}") from error
    for part, images in parts.items():
        places = [draft / part / name.split()[0] for name in images.classes]
        for place in places:
            place.mkdir(parents=True)
        for number in shown(range(len(images)), len(images), f"writing {len(images):,} {part} images as class folders"):
            image, label = images[number]
            image.save(places[label] / f"{number:05d}.png")
    return {}
