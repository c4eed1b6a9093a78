"""Dying at a write boundary: before, in the middle of, and after everything that changes a file or a folder.

Each boundary has a name, such as ``after replace round01/final.safetensors (1)``; a process dies at the first one at which
none has died before. So the same command, repeated, dies once at every boundary there is.
"""

import builtins
import io
import os
import re
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "fsync", "posix_fallocate", "truncate")
TIMES = 2  # of the same boundary of the same file that are told apart, such as the first and the second saving


class Boundaries:
    """Patches this process for good.

    Args:
        root: the folder whose files count.
        log: the names of the boundaries at which processes died, one a line.
        chosen: whether to die at a boundary, by its name.
        die: what to do there: to be killed, or to raise an error.
    """

    def __init__(self, root: Path, log: Path, chosen: Callable[[str], bool], die: Callable[[], Any] | None = None) -> None:
        self.root, self.log, self.chosen, self.die = str(root), log, chosen, die or _kill
        self.done = set(log.read_text().splitlines()) if log.exists() else set()
        self.seen: Counter[str] = Counter()
        self._open = io.open
        for name in CHANGES:
            setattr(os, name, self._around(name, getattr(os, name)))
        builtins.open = io.open = self._opened

    def here(self, where: str, what: str, path: Any) -> None:
        """Die, if that is to be and none has died here."""
        path = self._path(path)
        if not path.startswith(self.root):
            return
        kind = f"{where} {what} {plain(path[len(self.root) + 1 :])}"
        self.seen[kind] += 1
        name = f"{kind} ({self.seen[kind]})"
        if self.seen[kind] <= TIMES and name not in self.done and self.chosen(name):
            self.done.add(name)
            with self._open(self.log, "a") as log:
                log.write(name + "\n")
            self.die()

    def _path(self, path: Any) -> str:
        if isinstance(path, int):
            try:
                return os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return ""
        return os.fspath(path)

    def _around(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(path: Any, *rest: Any, **options: Any) -> Any:
            if options.get("dir_fd") is not None:  # as shutil.rmtree does it, relative to an open folder
                path_told = f"{self._path(options['dir_fd'])}/{os.fspath(path)}"
            else:
                path_told = self._path(path)
            self.here("before", name, path_told)
            found = change(path, *rest, **options)
            self.here("after", name, path_told)
            return found

        return changed

    def _opened(self, path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        writes = isinstance(path, (str, os.PathLike)) and set(mode) & set("wax+")
        if writes:
            self.here("before", "open", path)
        file = self._open(path, mode, *rest, **options)
        if writes and self._path(path).startswith(self.root):
            self.here("after", "open", path)
            if "b" in mode and "+" not in mode:
                return Halting(file, lambda where: self.here(where, "write", path))
        return file


class Halting:
    """A binary file whose writes have a boundary in the middle."""

    def __init__(self, file: Any, here: Callable[[str], None]) -> None:
        self._file, self._here = file, here

    def write(self, content: Any) -> int:
        content = bytes(content)
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        self._here("amid")
        self._file.write(content[len(content) // 2 :])
        self._file.flush()
        self._here("after")
        return len(content)

    def __enter__(self) -> "Halting":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def plain(path: str) -> str:
    """A path without what differs from process to process, and with the rounds by their names alone."""
    path = re.sub(r"\.draft/?", "", re.sub(r"\.[^./]+\.\d+\.draft$", "", path).replace("/.", "/"))
    return re.sub(r"rounds/.*(round\d\d-kept[\d.]+(?:-[a-z]+)?)-[0-9a-f]+", r"\1", path)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
