"""Write boundaries: before, in the middle of, and after everything that changes a file or a folder.

Each has a name, such as ``after replace round01/final.safetensors (1)``. A process acts, by dying or raising, at the first one
at which none has acted before. So the same command, repeated, acts once at every boundary.
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

CHANGES = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link", "fsync", "posix_fallocate", "truncate")
TIMES = 2  # so many boundaries of one kind are distinguished, such as those of the first and the second checkpoint


class Boundaries:
    """Patches this process for good.

    Args:
        root: the folder whose files count.
        log: the names of the boundaries at which processes acted, one a line.
        chosen: whether to act at a boundary, by its name.
        act: what to do there; the default is to be killed.
    """

    def __init__(self, root: Path, log: Path, chosen: Callable[[str], bool], act: Callable[[], Any] | None = None) -> None:
        self.root, self.log, self.chosen = str(root), log, chosen
        self.act = act or (lambda: os.kill(os.getpid(), signal.SIGKILL))
        self.done = set(log.read_text().splitlines()) if log.exists() else set()
        self.seen: Counter[str] = Counter()
        self._open = io.open
        for name in CHANGES:
            setattr(os, name, self._around(name, getattr(os, name)))
        builtins.open = io.open = self._opened

    def reach(self, where: str, what: str, path: Any) -> None:
        """Act, if none has acted at this boundary."""
        path = _path(path)
        if not path.startswith(self.root):
            return
        kind = f"{where} {what} {plain(path[len(self.root) + 1 :])}"
        self.seen[kind] += 1
        name = f"{kind} ({self.seen[kind]})"
        if self.seen[kind] <= TIMES and name not in self.done and self.chosen(name):
            self.done.add(name)
            with self._open(self.log, "a") as log:
                log.write(name + "\n")
            self.act()

    def _around(self, name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(path: Any, *rest: Any, **options: Any) -> Any:
            target = _path(rest[0] if name == "link" else path)
            if options.get("dir_fd") is not None:  # as shutil.rmtree does it, relative to an open folder
                target = f"{_path(options['dir_fd'])}/{target}"
            self.reach("before", name, target)
            result = change(path, *rest, **options)
            self.reach("after", name, target)
            return result

        return changed

    def _opened(self, path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        writes = isinstance(path, (str, os.PathLike)) and set(mode) & set("wax+")
        if writes:
            self.reach("before", "open", path)
        file = self._open(path, mode, *rest, **options)
        if writes and _path(path).startswith(self.root):
            self.reach("after", "open", path)
            if "b" in mode and "+" not in mode:
                return Halting(file, lambda where: self.reach(where, "write", path))
        return file


class Halting:
    """A binary file whose writes have a boundary in the middle."""

    def __init__(self, file: Any, reach: Callable[[str], None]) -> None:
        self._file, self._reach = file, reach

    def write(self, content: Any) -> int:
        content = bytes(content)
        for part, where in ((content[: len(content) // 2], "amid"), (content[len(content) // 2 :], "after")):
            self._file.write(part)
            self._file.flush()
            self._reach(where)
        return len(content)

    def __enter__(self) -> "Halting":
        return self

    def __exit__(self, *_: Any) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def plain(path: str) -> str:
    """Return a path without what differs from process to process, and with rounds by their short names."""
    path = re.sub(r"(\.[0-9a-f]+)*\.draft/?", "", path).replace("/.", "/")
    path = re.sub(r"tfevents.*", "tfevents", path)
    return re.sub(r"rounds/.*(round\d\d-kept[\d.]+(?:-[a-z]+)?)-[0-9a-f]+", r"\1", path)


def _path(path: Any) -> str:
    if isinstance(path, int):
        try:
            return os.readlink(f"/proc/self/fd/{path}")
        except OSError:
            return ""
    return os.fspath(path)
