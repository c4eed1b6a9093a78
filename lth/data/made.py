"""Class folders that were made here, drawn or downloaded: their sums are kept with them, so that damage is seen and mended."""

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from lth.data import digests
from lth.errors import notice


@dataclass(frozen=True)
class Made:
    """Class folders in the ``parts`` of ``root``; root/``manifest`` is JSON with their ``sums``; ``again`` makes root anew."""

    root: Path
    parts: tuple[str, ...]
    manifest: str
    again: Callable[[], Any]

    def recorded(self) -> list[str]:
        """The sums of when the images were written; empty where that is not known."""
        try:
            return list(json.loads((self.root / self.manifest).read_text())["sums"])
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def whole(self) -> bool:
        """Whether the images are those that were written."""
        return self.recorded() == sums(self.root, self.parts)

    def renew(self) -> None:
        notice(f"{self.root} is damaged: it does not hold the images that were written; they are made again.")
        self.again()

    def mended(self) -> bool:
        """Make the images again if they are not those that were written; whether that was so."""
        with FileLock(f"{self.root}.lock"):
            if self.whole():
                return False
            self.renew()
            return True


def clear(root: Path) -> None:
    """Make room for a folder: what is there goes, a foreign file, too. Raises OSError where that is not permitted."""
    if root.exists():
        shutil.rmtree(root) if root.is_dir() else root.unlink()


def sums(root: Path, parts: Iterable[str]) -> list[str]:
    """For each part a hash over the names and contents of all its files but hidden ones, as decoded pixels have it."""
    return [_sum(root / part) for part in parts]


def _sum(folder: Path) -> str:
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return digests.fingerprint((path.relative_to(folder).as_posix(), digests.of(path)) for path in paths)
