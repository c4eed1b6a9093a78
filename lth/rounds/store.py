"""Where rounds lie: one folder each, named by its key, finished when its round.json is there. Imports no torch.

outputs/
  rounds/<readable>-<key>/   round.json, ticket.safetensors, final.safetensors, metrics.csv, events.out.tfevents...
  starts/<hash>.safetensors  the weights that tickets start from, once for all rounds that share them
  points/<key>-<step>...     points in the training of a round 0 that others rewind to
  partial/<key>...           how far unfinished rounds have come
  results.csv                one row a finished round
"""

import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lth.errors import DataError, LthError
from lth.rounds import files

COLUMNS = (
    "key", "parent", "round", "control", "name", "model", "finetune", "data", "seed", "rate", "at_once",
    "criterion", "allocation", "rewind", "retrain", "epochs", "kept", "prunable", "density",
    "effective_density", "model_density", "train_acc", "val_acc", "test_acc", "best_epoch", "best_iteration", "best_train_acc",
    "best_val_acc", "best_test_acc", "early_stop_iteration", "iterations", "parameters", "flops",
    "flops_remaining", "speedup", "seconds", "images_per_second", "barrier",
)  # fmt: skip


def seal(record: dict[str, Any]) -> str:
    """SHA-256 over all fields of a record but ``seal``, whatever their order; the same before and after a round.json."""
    rest = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load(folder: Path) -> dict[str, Any]:
    """The record of a finished round's folder.

    Raises DataError where its round.json is not what was written, or a file that it names is gone.
    """
    path, advice = folder / "round.json", "delete the folder to train it again."
    try:
        record = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is damaged: it is no JSON ({error}); {advice}") from error
    if not isinstance(record, dict) or "seal" not in record:
        raise DataError(f"{path} is damaged: it has no seal; {advice}")
    if record["seal"] != seal(record):
        raise DataError(f"{path} is damaged: it does not match its seal; {advice}")
    if missing := [name for name in record.get("files", {}) if not (folder / name).exists()]:
        raise DataError(f"{folder / missing[0]} is missing; {advice}")
    return record


class Store:
    """The folders of one ``outputs``."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.rounds = outputs / "rounds"
        self.starts = outputs / "starts"
        self.results = outputs / "results.csv"

    def folder(self, key: str) -> Path | None:
        """The folder of a round, finished or not; None if there is none."""
        return next(self.rounds.glob(f"*-{key}"), None)

    def point(self, key: str, step: int) -> Path:
        """The file of a point of round 0 that later rounds rewind to."""
        return self.outputs / "points" / f"{key}-{step}.safetensors"

    def read(self, key: str) -> dict[str, Any] | None:
        """The record of a finished round, else None. Raises DataError where it is damaged."""
        folder = self.folder(key)
        return load(folder) if folder is not None and (folder / "round.json").exists() else None

    def finished(self) -> list[Path]:
        """The folders of all finished rounds, sorted by name."""
        return sorted(path.parent for path in self.rounds.glob("*/round.json"))

    def wait_for(self, key: str) -> dict[str, Any]:
        """The record of a round that the first rank, our parent process, is about to finish; raises LthError if it died."""
        parent = os.getppid()
        while (record := self.read(key)) is None:
            if os.getppid() != parent:
                raise LthError(f"the first rank ended without finishing round {key}.")
            time.sleep(0.05)
        return record

    def partial(self, key: str) -> Path:
        """The file that says how far an unfinished round has come."""
        return self.outputs / "partial" / f"{key}.safetensors"

    def start_over(self, key: str, readable: str) -> Path:
        """A folder for a round that is to be trained: empty, or with what was logged of it if it is to be gone on with."""
        if (old := self.folder(key)) is not None:
            if (old / "round.json").exists():
                raise RuntimeError(f"{old} is finished; a finished round is never written again.")
            if self.partial(key).exists():
                return old
            shutil.rmtree(old)
        folder = self.rounds / f"{readable}-{key}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def locked(self, key: str, say: Callable[[str], None]) -> Iterator[None]:
        """Held while a round is trained; the operating system frees it when its holder dies."""
        lock = self._lock(f"{key}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process, which trains round {key}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _lock(self, name: str) -> FileLock:
        folder = self.rounds / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / name)

    def finish(self, folder: Path, record: dict[str, Any]) -> dict[str, Any]:
        """Make a round finished: the last file that is written to its folder. Returns the record with its seal."""
        sealed = record | {"seal": seal(record)}
        files.write_json(folder / "round.json", sealed)
        return sealed

    def entered(self) -> list[dict[str, str]]:
        """The rows of results.csv."""
        return list(csv.DictReader(self.results.read_text().splitlines())) if self.results.exists() else []

    def enter(self, record: dict[str, Any]) -> None:
        """Give a finished round its row in results.csv, unless it has one."""
        with self._lock("results.lock"):
            rows = self.entered()
            if any(row["key"] == record["key"] for row in rows):
                return
            text = io.StringIO()
            writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows([*rows, record])
            files.write_bytes(self.results, text.getvalue().encode())
