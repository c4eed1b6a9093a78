"""results.csv: a row a finished round, made again from the rounds themselves where it is not what was written.

Its hashes before and after each change lie in ``sums``, so that it is known at any moment, also after a kill.
"""

import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lth.errors import notice
from lth.rounds import files

COLUMNS = (
    "key", "parent", "round", "control", "name", "model", "finetune", "data", "seed", "rate", "at_once",
    "criterion", "allocation", "rewind", "retrain", "epochs", "kept", "prunable", "density",
    "effective_density", "model_density", "train_acc", "val_acc", "test_acc", "best_epoch", "best_iteration", "best_train_acc",
    "best_val_acc", "best_test_acc", "early_stop_iteration", "iterations", "parameters", "flops",
    "flops_remaining", "speedup", "seconds", "images_per_second", "barrier",
)  # fmt: skip


def rows(content: bytes) -> list[dict[str, str]]:
    """The rows in a results.csv. Raises ValueError or csv.Error where it is no text."""
    return list(csv.DictReader(content.decode().splitlines()))


def enter(path: Path, sums: Path, record: dict[str, Any], finished: Callable[[], Iterable[dict[str, Any]]]) -> None:
    """Give a round its row, unless it has one; nobody else does so meanwhile. ``finished``: the records of all rounds."""
    content = path.read_bytes() if path.is_file() else b""
    entered = _sound(path, content, sums)
    if entered is None:
        entered = sorted(finished(), key=lambda found: (found["finished"], found["key"]))
    elif any(row["key"] == record["key"] for row in entered):
        return
    others = [row for row in entered if row["key"] != record["key"]]
    new = _text([*others, record])
    sums.parent.mkdir(parents=True, exist_ok=True)
    files.write_bytes(sums, f"{_sum(content)}\n{_sum(new)}\n".encode())
    files.write_bytes(path, new)


def written(content: bytes, sums: Path) -> bool:
    """Whether a results.csv is what was written; where ``sums`` is gone, its form alone tells."""
    if sums.exists():
        return _sum(content) in sums.read_text().split()
    return content.startswith(_text([])) and len(rows(content)) > 0


def _sound(path: Path, content: bytes, sums: Path) -> list[dict[str, str]] | None:
    """The rows, if they are what was written; a file that is not is put aside."""
    if not path.exists():
        return None
    try:
        found = rows(content)
        if written(content, sums) and all(None not in row and None not in row.values() for row in found):
            return found
    except (ValueError, csv.Error):
        pass
    aside = path.with_name(f"{path.name}.damaged")
    notice(f"{path} is not what was written; it is made again from the rounds, and what was there is now {aside.name}.")
    os.replace(path, aside)
    return None


def _text(entries: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    return text.getvalue().encode()


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
