"""Every file of a finished experiment is damaged in every way, and each command runs on it.

None may end with a traceback or show a wrong number, and none may use a damaged file without a word.
"""

import os
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.boundaries import plain
from tests.faults.experiment import command, facts, run, share_of


def flip(place: Callable[[int], int]) -> Callable[[Path, Path], Any]:
    def change(path: Path, other: Path) -> None:
        content = bytearray(path.read_bytes())
        content[place(len(content))] ^= 1
        path.write_bytes(content)

    return change


DAMAGES: dict[str, Callable[[Path, Path], Any]] = {
    "a bit near the beginning": flip(lambda n: n // 50),
    "a bit in the middle": flip(lambda n: n // 2),
    "a bit near the end": flip(lambda n: n - 3),
    "truncated": lambda path, other: os.truncate(path, path.stat().st_size - 5),
    "empty": lambda path, other: path.write_bytes(b""),
    "another's": lambda path, other: path.write_bytes(other.read_bytes()),
    "missing": lambda path, other: path.unlink(),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
    "a link to nowhere": lambda path, other: (path.unlink(), path.symlink_to("/nowhere/x")),
}
COMMANDS = ("same", "longer", "verify", "report")


def main(base: Path, images: Path, share: float) -> list[str]:
    """Return the cases with a wrong end. The outputs lie at one place in all of them, so that their pages can be compared."""
    outputs, healthy = base / "outputs", base / "healthy"

    def work(name: str) -> None:
        if name in ("same", "longer"):
            command(images, outputs, "finetune=head", *["prune.rounds=3"] * (name == "longer"))
        else:
            sys.argv = ["lth", str(outputs)]
            runpy.run_module(f"lth.{name}", run_name="__main__")

    def end(name: str, change: Callable[[], Any] = lambda: None) -> tuple[int, str, Any]:
        """Run a command on a fresh copy that was changed; return exit code, output, and what must be as without damage."""
        shutil.rmtree(outputs, ignore_errors=True)
        shutil.copytree(healthy, outputs)
        change()
        code, text = run(lambda: work(name), base / "printed.txt")
        if code or name in ("same", "longer"):
            return code, text, None if code else facts(outputs)
        return code, text, {p.name: p.read_bytes() for p in (outputs / "report").rglob("*") if p.is_file()}

    assert run(lambda: work("same"), base / "printed.txt")[0] == 0
    outputs.rename(healthy)
    expected = {name: end(name)[2] for name in COMMANDS}
    results, faults = Counter(), []
    for path in sorted(path for path in healthy.rglob("*") if path.is_file()):
        file, content = path.relative_to(healthy).as_posix(), path.read_bytes()
        others = [p for p in path.parents[1].rglob(f"*{path.suffix}") if p.is_file() and p.read_bytes() != content]
        cases = [(how, name) for how in DAMAGES for name in COMMANDS if share_of(share, f"{plain(file)} {how} {name}")]
        for how, name in cases:
            if (how == "another's" and not others) or (len(content) < 50 and how not in ("missing", "a folder")):
                continue
            code, text, shown = end(name, lambda: DAMAGES[how](outputs / file, others[0] if others else path))  # noqa: B023
            harmless, named = shown == expected[name], "lth: " in text or "left out" in text or "broken" in text
            result = "refused" if code else "harmless" if harmless else "named" if named else "WRONG"
            results[result] += 1
            faults += [f"{file}: {how}: {name}: {result}"] * (result == "WRONG" or code < 0)
    print(f"{results.total()} damages and commands: {dict(results)}")
    return faults
