"""Every file of a finished experiment is damaged in every way, and each command runs on it.

None may end with a traceback or show a wrong number, and none may use a damaged file without a word.
"""

import os
import runpy
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.faults.boundaries import plain
from tests.faults.experiment import FAILED, arguments, command, facts, run, share_of

UNVERIFIED = ("cache/", "experiments/", "rounds/.locks/", "results.csv", "table.md", "verdict.md")


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
    "missing": lambda path, other: path.unlink(),
    "another's": lambda path, other: path.write_bytes(other.read_bytes()),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
    "a link to nowhere": lambda path, other: (path.unlink(), path.symlink_to("/nowhere/x")),
}


def main(base: Path, images: Path, share: float) -> list[str]:
    """Return the cases with a wrong end."""
    attack = Attack(base, images)
    chosen = [case for case in attack.cases() if share_of(" ".join((plain(case[0]), *case[1:])), share)]
    results = {case: attack.case(*case) for case in chosen}
    counts = Counter(result.partition(":")[0] for result in results.values())
    ends = ", ".join(f"{n} {result}" for result, n in sorted(counts.items()))
    print(f"{len(results)} cases, {len({case[0] for case in chosen})} files: {ends}")
    return [": ".join([*case, result]) for case, result in results.items() if result.startswith("WRONG")]


class Attack:
    """``outputs`` lies at one place in all cases, so that what is written of it can be compared."""

    def __init__(self, base: Path, images: Path) -> None:
        self.outputs, self.healthy, self.printed = base / "outputs", base / "healthy", base / "printed.txt"
        line = arguments(images, self.outputs, "finetune=head")
        self.commands: dict[str, Callable[[], Any]] = {
            "same": lambda: command(*line),
            "longer": lambda: command(*line, "prune.rounds=3"),
            "verify": lambda: self._module("lth.verify"),
            "report": lambda: self._module("lth.report"),
        }
        code, text = run(self.commands["same"], self.printed)
        assert code == 0, text
        self.outputs.rename(self.healthy)
        self.expected = {name: (self.run(name), self.shown(name))[1] for name in self.commands}

    def _module(self, name: str) -> None:
        sys.argv = ["lth", str(self.outputs)]
        runpy.run_module(name, run_name="__main__")

    def run(self, name: str, change: Callable[[], Any] = lambda: None) -> tuple[int, str]:
        """Run a command on a fresh copy that was changed; return its exit code and what it printed."""
        shutil.rmtree(self.outputs, ignore_errors=True)
        shutil.copytree(self.healthy, self.outputs)
        change()
        return run(self.commands[name], self.printed)

    def shown(self, name: str) -> Any:
        """Return what must be as without damage."""
        if name in ("same", "longer"):
            return facts(self.outputs)
        return {p.name: p.read_bytes() for p in (self.outputs / "report").rglob("*") if p.is_file()}

    def cases(self) -> Iterator[tuple[str, str, str]]:
        files = [path.relative_to(self.healthy).as_posix() for path in sorted(self.healthy.rglob("*")) if path.is_file()]
        yield from ((file, how, name) for file in files for how in DAMAGES for name in self.commands)

    def case(self, file: str, how: str, name: str) -> str:
        """Return what a command makes of a damage."""
        path, intact = self.outputs / file, self.healthy / file
        others = [p for p in intact.parents[1].rglob(f"*{path.suffix}") if p.is_file() and p.read_bytes() != intact.read_bytes()]
        if (how == "another's" and not others) or (how not in ("missing", "a folder") and intact.stat().st_size < 50):
            return "not possible"
        code, text = self.run(name, lambda: DAMAGES[how](path, others[0] if others else path))
        if "Traceback" in text or code in (FAILED, *range(-64, 0)):
            return "WRONG: " + text.strip().splitlines()[-1]
        if code:
            return "refused"
        absent = how == "missing" or (file.startswith("checkpoints/") and how == "a link to nowhere")  # and can be computed again
        if name == "verify" and not (
            absent or file.startswith(UNVERIFIED) or file.endswith(".png") or "events" in file or "hparams" in file
        ):
            return "WRONG: verify says nothing"
        if self.shown(name) == self.expected[name]:
            return "as if it were intact"
        return "named" if "lth: " in text or "left out" in text else "WRONG: silently"
