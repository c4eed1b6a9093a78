"""Where the images lie: two folders of class folders, found, downloaded or rendered. Imports no torch, but for a download."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from lth.config import Data
from lth.data import published
from lth.data.made import Made, clear
from lth.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
KAGGLE = "puneet6060/intel-image-classification"
BY_HAND = (
    f"Put the Kaggle set {KAGGLE} anywhere, unpacked, and name its folder with data.root=DIR, "
    "or use data=scenes, which needs no download."
)


@dataclass(frozen=True)
class Folders:
    """``train`` and ``test`` hold one folder a class; without ``test``, ``train`` is to be split."""

    train: Path
    test: Path | None


@dataclass(frozen=True)
class Listing:
    """The images of one folder of class folders, in name order: paths, labels and class names."""

    root: Path
    classes: list[str]
    paths: list[Path]
    labels: list[int]


def locate(data: Data) -> Folders:
    """The folders of ``data``, downloaded or rendered if need be. Raises DataError where there are none."""
    if data.name == "scenes" and (own := made(data)):
        return _parts(_rendered(data, own))
    if data.root is not None:
        root = Path(data.root).expanduser()
        if root.is_file():
            raise DataError(f"data.root={data.root} is a file: if it is an archive, unpack it and name the folder that it gives.")
        if not root.is_dir():
            raise DataError(f"data.root={data.root} is no folder.")
        return _parts(root)
    if data.name == "intel":
        return _parts(_downloaded())
    if data.name in published.NAMES:
        return _parts(published.fetch(data.name, Path(data.cache)))
    raise DataError("data.root=null is not accepted with data=folder: it takes the folder of your images.")


def made(data: Data) -> Made | None:
    """The folder in the cache that is drawn or downloaded for ``data``; None where the images are the user's own."""
    if data.root is not None:
        return None
    if data.name in published.NAMES:
        return published.made(data.name, Path(data.cache))
    if data.name == "scenes":
        from lth.data import scenes

        root = Path(data.cache) / f"scenes-{data.train_per_class}-{data.test_per_class}-{data.render_seed}"
        return Made(root, scenes.SPLITS, scenes.MANIFEST, partial(_redraw, data, root))
    return None


def _rendered(data: Data, own: Made) -> Path:
    own.root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{own.root}.lock"):
        for draft in own.root.parent.glob(f".{own.root.name}-*"):  # of killed processes, as the lock is ours
            shutil.rmtree(draft, ignore_errors=True)
        try:
            _draw(data, own.root)
        except FileExistsError:
            own.renew()
    return own.root


def _redraw(data: Data, root: Path) -> None:
    clear(root)
    _draw(data, root)


def _draw(data: Data, root: Path) -> None:
    from lth.data import scenes

    scenes.write(root, data.train_per_class, data.test_per_class, data.render_seed)


def _downloaded() -> Path:
    try:
        import kagglehub
    except ImportError:
        raise DataError(
            f"data=intel without data.root needs the package kagglehub (pip install 'lth[kaggle]'). {BY_HAND}"
        ) from None
    try:
        return Path(kagglehub.dataset_download(KAGGLE))
    except Exception as error:  # whatever the network, the hub or the account has to say
        raise DataError(f"the download of {KAGGLE} failed ({type(error).__name__}). {BY_HAND}") from error


def _parts(root: Path) -> Folders:
    for train, test in (("seg_train", "seg_test"), ("train", "test")):
        if _holds_classes(root / train):
            return Folders(_undouble(root / train), _undouble(root / test) if (root / test).is_dir() else None)
    return Folders(root, None)


def _undouble(folder: Path) -> Path:
    """Kaggle's archive has seg_train/seg_train/<class>; a class may be called train."""
    inner = folder / folder.name
    return inner if _holds_classes(inner) and len(_folders(folder)) == 1 else folder


def _folders(folder: Path) -> list[str]:
    return sorted(d.name for d in folder.iterdir() if d.is_dir() and not d.name.startswith("."))


def _holds_classes(folder: Path) -> bool:
    return folder.is_dir() and len(_folders(folder)) >= 1


def list_images(root: Path) -> Listing:
    """Every image file below the class folders of ``root``; hidden files and other files are passed over.

    Raises DataError where there are fewer than two classes or a class without images.
    """
    classes = _folders(root)
    if len(classes) < 2:
        raise DataError(
            f"{root} holds {len(classes)} class folders; at least 2 are needed, one for each class, with images in them."
        )
    paths, labels = [], []
    for label, name in enumerate(classes):
        _readable(root / name)
        found = sorted(
            p for p in (root / name).rglob("*") if p.suffix.lower() in SUFFIXES and not _hidden(p, root) and not p.is_dir()
        )
        if not found:
            raise DataError(f"the class folder {root / name} holds no image.")
        for path in found:
            _readable(path)
        paths += found
        labels += [label] * len(found)
    return Listing(root, classes, paths, labels)


def _readable(path: Path) -> None:
    """Raise DataError where a name is no text, so that it can stand in no file of results."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise DataError(f"the name {str(path)!a} is no UTF-8; rename it.") from None


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
