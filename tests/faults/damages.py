"""``python -m tests.faults.damages [share]``: every file of a finished experiment damaged in every way, then each command.

None may end with a traceback or show a wrong number, and none may use a damaged file without a word.
"""

import json
import os
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from tests.faults.experiment import FAILED, VARIES, arguments, command, do, pictures, warm

NOT_PROVED = ("cache/", "experiments/", "rounds/.locks/", "table.md", "verdict.md", "early_stop.png", "figure.png")


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
    "gone": lambda path, other: path.unlink(),
    "another's": lambda path, other: path.write_bytes(other.read_bytes()),
    "a folder": lambda path, other: (path.unlink(), path.mkdir()),
    "a link to nowhere": lambda path, other: (path.unlink(), path.symlink_to("/nowhere/x")),
}


class Attack:
    """``outputs`` lies at one place in all cases, so that what is written of it can be compared."""

    def __init__(self, base: Path) -> None:
        self.base, self.outputs, self.gold, self.said = base, base / "outputs", base / "gold", base / "said.txt"
        images = pictures(base / "images")
        line = arguments(images, self.outputs, "logger=tensorboard", "finetune=head")
        self.commands = {
            "same": lambda: command(*line),
            "longer": lambda: command(*line, "prune.rounds=3"),
            "verify": lambda: self._door("verify"),
            "report": lambda: self._door("report"),
        }
        assert do(self.commands["same"], self.said) == 0, self.said.read_text()
        self.outputs.rename(self.gold)
        self.expected = {name: (self.run(name), self.shown(name))[1] for name in self.commands}

    def _door(self, name: str) -> None:
        import lth.report.__main__ as report
        import lth.verify
        from lth.report import build

        build.saved = lambda figure, form: b""  # pictures take most of the time, and say what the page says
        sys.argv = ["lth", str(self.outputs)]
        {"report": report, "verify": lth.verify}[name].main()

    def run(self, name: str, change: Callable[[], Any] = lambda: None) -> tuple[int, str]:
        """Exit code and what is said, of a fresh copy that was changed."""
        shutil.rmtree(self.outputs, ignore_errors=True)
        shutil.copytree(self.gold, self.outputs)
        change()
        return do(self.commands[name], self.said), self.said.read_text(errors="replace")

    def shown(self, name: str) -> dict[str, Any]:
        """What must be as without damage."""
        if name in ("same", "longer"):
            found = {p.parent.name: json.loads(p.read_bytes()) for p in self.outputs.glob("rounds/*/round.json")}
            return {name: {field: told[field] for field in told.keys() - VARIES} for name, told in found.items()}
        report = self.outputs / "report"
        return {p.name: p.read_bytes() for p in report.rglob("*") if p.is_file()}

    def cases(self) -> Iterator[tuple[str, str, str]]:
        files = [path.relative_to(self.gold).as_posix() for path in sorted(self.gold.rglob("*")) if path.is_file()]
        yield from ((file, how, name) for file in files for how in DAMAGES for name in self.commands)

    def case(self, file: str, how: str, name: str) -> str:
        """What a command makes of a damage."""
        path, whole = self.outputs / file, self.gold / file
        others = [p for p in whole.parents[1].rglob(f"*{path.suffix}") if p.is_file() and p.read_bytes() != whole.read_bytes()]
        if (how == "another's" and not others) or (how not in ("gone", "a folder") and whole.stat().st_size < 50):
            return "not to be done"
        code, text = self.run(name, lambda: DAMAGES[how](path, others[0] if others else path))
        if "Traceback" in text or code in (FAILED, *range(-64, 0)):
            return "WRONG: " + text.strip().splitlines()[-1]
        if code:
            return "refused"
        spoken = "lth: " in text or "left out" in text
        absent = how == "gone" or (file.startswith("points/") and how == "a link to nowhere")  # and can be made again
        if name == "verify" and not (absent or file.startswith(NOT_PROVED) or "hparams" in file or "tfevents" in file):
            return "WRONG: verify says nothing"
        return "told" if spoken else "as if it were whole" if self.shown(name) == self.expected[name] else "WRONG: silently"


def main(share: float) -> int:
    warm()
    with tempfile.TemporaryDirectory(prefix="damages-") as folder:
        attack = Attack(Path(folder).resolve())
        chosen = [case for case in attack.cases() if zlib.crc32(" ".join(case).encode()) % 10000 < 10000 * share]
        ends = {case: attack.case(*case) for case in chosen}
    for case, end in ends.items():
        if end.startswith("WRONG"):
            print(*case, end, sep=": ")
    files, counts = {file for file, _, _ in ends}, Counter(end.partition(":")[0] for end in ends.values())
    print(f"{len(ends)} cases, {len(files)} files: {', '.join(f'{what} {n}' for what, n in sorted(counts.items()))}")
    return counts["WRONG"] > 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))
