"""Where rounds lie: one folder each, named by its key, finished when its round.json is there. Imports no torch.

outputs/
  rounds/<readable>-<key>/   round.json, config.yaml, ticket, start and final.safetensors, metrics.csv, events.out.tfevents...
  points/<key>-<step>...     points in the training of a round 0 that others rewind to
  partial/<key>...           how far unfinished rounds have come
  experiments/<chain>/       what TensorBoard shows of a chain, see experiment.py
  results.csv                one row a finished round
"""

import csv
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lth.cli import signals
from lth.errors import DataError, LthError, notice
from lth.hashes import of_file, of_record
from lth.tree import files, locks, sheet
from lth.tree import results as ledger
from lth.tree.record import Record, load
from lth.tree.spec import FORMAT


def _old(folder: Path) -> bool:
    try:
        content = (folder / "round.json").read_bytes()
    except OSError:
        return False
    return b'"hash"' in content and b'"round_format"' not in content


def intact(folder: Path, record: Record) -> None:
    """Raises DataError naming a file of a finished round that is not what its record has the hash of."""
    for name, hashed in record["files"].items():
        if of_file(folder / name) != hashed:
            raise DataError(f"{Path(name).name} is damaged: it does not match its hash.")


class Store:
    """The folders of one ``outputs``."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.rounds = outputs / "rounds"
        self.results = outputs / "results.csv"
        self._locks = self.rounds / ".locks"
        self._entered: dict[
            str, dict[str, Any]
        ] = {}  # folder -> what results.csv says of its round: finished rounds never change

    def folder(self, key: str) -> Path | None:
        """The folder of a round, finished if there is such a one, or not; None if there is none."""
        found = sorted(self.rounds.glob(f"*-{key}"))
        return next((folder for folder in found if (folder / "round.json").exists()), next(iter(found), None))

    def point(self, key: str, step: int) -> Path:
        """The file of a point of round 0 that later rounds rewind to."""
        return self.outputs / "points" / f"{key}-{step}.safetensors"

    checkpoint = point

    def read(self, key: str) -> Record | None:
        """The record of a finished round, else None. Raises DataError where it is damaged."""
        folder = self.folder(key)
        if folder is None or not (folder / "round.json").exists():
            return None
        record = load(folder)
        if record.get("key") != key:
            raise DataError(f"{folder / 'round.json'} is that of another round; delete the folder to train it again.")
        return record

    def whole(self, key: str) -> Path:
        """The folder of a finished round that another one is to be made from: each of its files is compared with its hash.

        Raises DataError where one is damaged.
        """
        folder = self.folder(key)
        try:
            intact(folder, self.read(key))
        except DataError as error:
            raise DataError(f"{error} It is of the finished round {folder}; delete that folder to train it again.") from None
        return folder

    def old(self) -> int:
        """The number of finished rounds in the format of an earlier lth."""
        return sum(map(_old, self.finished()))

    def finished(self) -> list[Path]:
        """The folders of all finished rounds, sorted by name."""
        return sorted(path.parent for path in self.rounds.glob("*/round.json"))

    def wait_for(self, key: str) -> Record:
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
            if self.partial(key).exists() and old.is_dir():
                files.tidy(old)
                return old
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        folder = self.rounds / f"{readable}-{key}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def locked(self, key: str, say: Callable[[str], None]) -> Iterator[None]:
        """Held while a round is trained. Raises Interrupted where a signal asks to stop before it is ours."""
        with locks.held(
            self._lock(f"{key}.lock"),
            lambda: say(f"waiting for another process, which trains round {key}"),
            lambda: signals.stop("all finished rounds are kept"),
        ):
            yield

    def _lock(self, name: str) -> Path:
        self._locks.mkdir(parents=True, exist_ok=True)
        return self._locks / name

    def tidy(self) -> None:
        """Clear away what killed processes left half written. A round's own folder is tidied when the round is gone on with."""
        inside = (self.outputs / name for name in ("points", "partial", "tests"))
        for folder in (self.outputs, self._locks, *inside, *self.outputs.glob("experiments/*")):
            files.tidy(folder)

    def look(self) -> None:
        """Before a process trains its first round: tell of locks that do not hold."""
        if weakness := locks.weakness(self._lock("")):
            notice(f"warning: {weakness}")

    def finish(self, folder: Path, facts: dict[str, Any]) -> Record:
        """Make a round finished: the last file that is written to its folder. Returns its record.

        Args:
            facts: the fields of ``Record`` but ``hash`` and ``round_format``.
        """
        facts = {"round_format": FORMAT} | facts
        facts |= {"hash": of_record(facts)}
        record = Record.of(facts, folder)
        files.write_json(folder / "round.json", facts)
        return record

    def entered(self) -> list[dict[str, str]]:
        """The rows of results.csv. Raises DataError where it is not what was written."""
        advice = "delete it, and repeated commands enter their rounds."
        if not os.path.lexists(self.results):
            return []
        try:
            content = self.results.read_bytes()
            found = ledger.rows(content)
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{self.results} cannot be read ({error}); {advice}") from error
        if ledger.differs(content, self._records(lambda sentence: None)):
            raise DataError(f"{self.results} is not what was written; {advice}")
        return found

    def enter(self, record: Record) -> None:
        """See that a finished round has its row in results.csv; what was saved while it was trained is removed."""
        self.partial(record["key"]).unlink(missing_ok=True)
        if any(known["key"] == record["key"] for known in self._entered.values()):
            return
        with locks.held(self._lock("results.lock"), lambda: None, lambda: None):
            ledger.write(self.results, self._records(notice))

    def _records(self, say: Callable[[str], None]) -> list[dict[str, Any]]:
        """Of all finished rounds, what results.csv says of them; damaged ones are named and passed over."""
        folders = {folder.name: folder for folder in self.finished()}
        for name in folders.keys() - self._entered.keys():
            try:
                record = load(folders[name])
                self._entered[name] = {field: record.get(field) for field in (*sheet.COLUMNS, "finished", "settings")}
            except DataError as error:
                say(str(error))
        return [known for name, known in self._entered.items() if name in folders]
