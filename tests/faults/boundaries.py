"""Write boundaries: the moments before anything changes a file or a folder.

Each has a name, such as ``rename round01/final.safetensors (1)``. A process acts, by dying or raising, at the first one at which
no process has acted. So the same command, repeated, acts once at every boundary.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.experiment import command, run

CHANGES = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}  # Python's audit events
RELATIVE = {"os.remove", "os.mkdir", "os.rmdir"}  # whose last argument is the descriptor of a folder, or -1
TIMES = 2  # so many boundaries of one kind are distinguished, such as those of the first and the second checkpoint


def until_done(images: Path, outputs: Path, chosen: Callable[[str], bool], act: Callable[[], Any]) -> list[tuple[str, int, str]]:
    """Repeat the experiment, which acts at each chosen boundary once, until it succeeds.

    Returns the name of each boundary with the exit code and the output of the process that acted there.
    """
    ends: list[tuple[str, int, str]] = []
    for _ in range(2000):  # more means that the names of boundaries are new in each process
        names, log = {name for name, *_ in ends}, outputs.with_name("boundary.log")

        def work() -> None:
            watch(outputs, log, lambda name: name not in names and chosen(name), act)  # noqa: B023
            command(images, outputs)

        code, text = run(work, outputs.with_name("printed.txt"))
        if code == 0:
            return ends
        ends.append((log.read_text(), code, text))
    raise AssertionError(f"no end; the last boundaries were {ends[-3:]}")


def watch(root: Path, log: Path, chosen: Callable[[str], bool], act: Callable[[], Any]) -> None:
    """Act at the first chosen boundary of this process below ``root``, and write its name to ``log``."""
    seen, acted = Counter(), []

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        path = _path(args[1] if event in ("os.rename", "os.link") else args[0], args[-1] if event in RELATIVE else -1)
        if not path.startswith(f"{root}/"):
            return
        kind = f"{event.removeprefix('os.')} {plain(path[len(str(root)) + 1 :])}"
        seen[kind] += 1
        name = f"{kind} ({seen[kind]})"
        if seen[kind] <= TIMES and not acted and chosen(name):
            acted.append(name)
            log.write_text(name)
            act()

    sys.addaudithook(hook)


def plain(path: str) -> str:
    """Return a path without what differs from process to process, and with rounds by their short names."""
    path = re.sub(r"tfevents.*", "tfevents", re.sub(r"(\.[0-9a-f]+)*\.draft", "", path))
    return re.sub(r"rounds/.*(round\d\d-kept[\d.]+(?:-[a-z]+)?)-[0-9a-f]+", r"\1", path)


def _path(path: Any, folder: int) -> str:
    """Return a path as text; shutil.rmtree names files relative to the descriptor of an open folder."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    text = os.fsdecode(path)
    return text if folder < 0 else f"{os.readlink(f'/proc/self/fd/{folder}')}/{text}"
