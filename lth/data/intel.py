"""Kaggle's Intel scenes, downloaded by kagglehub. Imports no torch.

kagglehub needs no account for a public set, shows a bar, goes on with a half downloaded archive where it broke, and compares
the archive with the MD5 that its server names. What it unpacked is counted here.
"""

import os
from collections.abc import Callable
from pathlib import Path

from lth.errors import DataError
from lth.network import reachable

NAME = "puneet6060/intel-image-classification"
HANDLE = f"{NAME}/versions/2"  # with a version, kagglehub asks the network for nothing once it is downloaded
HOST = "www.kaggle.com"
CLASSES = ["buildings", "forest", "glacier", "mountain", "sea", "street"]
COUNTS = {"seg_train": 14034, "seg_test": 3000}
BY_HAND = (
    f"Put the Kaggle set {NAME} anywhere, unpacked, and name its folder with data.root=DIR, "
    "or use data=scenes, which needs no download."
)


def require() -> None:
    """Raise DataError, within seconds, where the set is neither downloaded nor can be."""
    if not _there() and not reachable(HOST):
        raise DataError(f"data=intel without data.root is downloaded from {HOST}, which does not answer. {BY_HAND}")


def fetch(before: Callable[[], None]) -> Path:
    """The folder of the set, downloaded if need be; ``before`` is called before a download.

    Raises DataError, saying what to do instead, where the download fails or is not the whole set.
    """
    require()
    if not _there():
        before()
    try:
        import kagglehub

        root = Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network, the hub or the account has to say
        raise DataError(f"the download of {NAME} failed ({type(error).__name__}). {BY_HAND}") from error
    _require_whole(root)
    return root


def _there() -> bool:
    """Whether kagglehub has downloaded and unpacked the set; it then leaves an empty file beside the folder of versions."""
    cache = os.environ.get("KAGGLEHUB_CACHE", str(Path.home() / ".cache" / "kagglehub"))
    folder = Path(cache, "datasets", HANDLE)
    return folder.is_dir() and (folder.parent.parent / f"{folder.name}.complete").exists()


def _require_whole(root: Path) -> None:
    for part, count in COUNTS.items():
        folder = root / part / part
        found = {name: len(list((folder / name).glob("*.jpg"))) for name in CLASSES}
        if sum(found.values()) != count or not all(found.values()):
            raise DataError(
                f"{folder} holds {sum(found.values()):,} images of {sum(map(bool, found.values()))} classes instead of "
                f"{count:,} of {len(CLASSES)}; delete {root}, and the same command downloads it again. {BY_HAND}"
            )
