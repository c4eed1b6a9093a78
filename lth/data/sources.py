"""Where the images lie: folders of class folders, found, downloaded or rendered. Imports no torch, but for a download."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from lth.config import Data
from lth.data import intel, parts, published
from lth.data.made import Made, clear
from lth.data.parts import SUFFIXES, Folders
from lth.errors import DataError


@dataclass(frozen=True)
class Listing:
    """The images of one folder of class folders, in name order: paths, labels and class names."""

    root: Path
    classes: list[str]
    paths: list[Path]
    labels: list[int]


def require(data: Data) -> None:
    """Raise DataError, within seconds, where there are no images and no way to them: no folder, no network."""
    if data.root is not None:
        parts.find(Path(data.root).expanduser())
    elif data.name == "intel":
        intel.require()
    elif data.name in published.NAMES:
        published.require(data.name, Path(data.cache))
    elif data.name == "folder":
        raise DataError("data.root=null is not accepted with data=folder: it takes the folder of your images.")


def locate(data: Data, before: Callable[[], None] = lambda: None) -> Folders:
    """The folders of ``data``, downloaded or rendered if need be. Raises DataError where there are none.

    Args:
        before: called before a download or before rendering.
    """
    require(data)
    if data.root is not None:
        return parts.find(Path(data.root).expanduser())
    if data.name == "intel":
        return parts.find(intel.fetch(before))
    own = made(data)
    if not own.root.is_dir():
        before()
    return parts.find(_rendered(data, own) if data.name == "scenes" else published.fetch(data.name, Path(data.cache)))


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


def list_images(root: Path) -> Listing:
    """Every image file below the class folders of ``root``; hidden files and other files are passed over.

    Raises DataError where there are fewer than two classes or a class without images.
    """
    classes = parts.folders(root)
    if len(classes) < 2:
        inner = f"; did you mean {root / classes[0]}?" if classes and len(parts.folders(root / classes[0])) > 1 else "."
        raise DataError(
            f"{root} holds {len(classes)} class folders; at least 2 are needed, one for each class, with images in them{inner}"
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
