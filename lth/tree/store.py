"""The folders of rounds: one each, named by its key, finished when its round.json exists. Imports no torch.

outputs/
  rounds/<readable>-<key>/   round.json, config.yaml, ticket, start and final.safetensors, metrics.csv, predictions.npy
  checkpoints/<key>-<step>   rewind checkpoints of rounds 0
  checkpoints/<key>          checkpoints of interrupted rounds
  results.csv                one row for each finished round

Finished rounds are never written again. A lock for each round keeps processes apart: flock, which the operating system frees
when its holder dies. It holds on local disks and on NFS, not on file systems that keep locks on one machine, such as sshfs.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lth.cli import signals
from lth.errors import DataError, LthError, notice_once
from lth.hashes import of_record
from lth.tree import files, results
from lth.tree.record import UNFINISHED, Record, load, read, require_intact
from lth.tree.spec import FORMAT


class Store:
    """The folders of one ``outputs``."""

    def __init__(self, outputs: Path) -> None:
        self.outputs, self.rounds, self.results = outputs, outputs / "rounds", outputs / "results.csv"
        self._listed: dict[Path, Record] = {}  # by folder, the rounds in results.csv: finished rounds never change

    def checkpoint(self, key: str, step: int | str | None = None) -> Path:
        """Return the path of the rewind checkpoint after ``step``, or of an interrupted round's."""
        return self.outputs / "checkpoints" / f"{key}{'' if step is None else f'-{step}'}.safetensors"

    def folder(self, key: str) -> Path | None:
        """Return the folder of a round, finished or not; None where there is none."""
        return next(self.rounds.glob(f"*-{key}"), None)

    def finished(self) -> list[Path]:
        """Return the folders of all finished rounds, sorted by name."""
        return sorted(path.parent for path in self.rounds.glob("*/round.json"))

    def read(self, key: str) -> Record | None:
        """Return the record of a finished round, else None. Raises DataError where it is damaged."""
        folder = self.folder(key)
        if folder is None or not (folder / "round.json").exists():
            return None
        record = load(folder)
        if record.key != key:
            raise DataError(f"{folder / 'round.json'} is that of another round; delete the folder to train it again.")
        return record

    def valid(self, key: str) -> Path:
        """Return the folder of a finished round. Raises DataError where a file does not match its hash."""
        record = self.read(key)
        require_intact(record)
        return record.folder

    def wait_for(self, key: str) -> Record:
        """Return the record of a round that the first rank, our parent process, is about to finish."""
        parent = os.getppid()
        while (record := self.read(key)) is None:
            if os.getppid() != parent:
                raise LthError(f"the first rank ended without finishing round {key}.")
            time.sleep(0.05)
        return record

    def start_over(self, key: str, readable: str) -> Path:
        """Return the folder of an interrupted round that has a checkpoint, else an empty one."""
        if (old := self.folder(key)) is not None:
            if (old / "round.json").exists():
                raise RuntimeError(f"{old} is finished; a finished round is never written again.")
            if self.checkpoint(key).exists():
                files.tidy(old, age=0)  # ours alone, by the lock
                return old
            shutil.rmtree(old)
        folder = self.rounds / f"{readable}-{key}"
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def locked(self, key: str, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock of a round. Raises Interrupted where a signal asks to stop while another process has it."""
        lock = self.lock(key)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            say(f"waiting for another process, which trains round {key}")
            while not lock.is_locked:
                signals.stop("all finished rounds are kept")
                with suppress(Timeout):
                    lock.acquire(timeout=1)
        try:
            yield
        finally:
            lock.release()

    def finish(self, folder: Path, facts: Mapping[str, Any]) -> Record:
        """Write round.json, the last file of a round's folder, from the fields of its ``Record``."""
        facts = {"round_format": FORMAT, **facts}
        facts["hash"] = of_record(facts)
        record = Record.of(facts, folder)
        files.write_json(folder / "round.json", facts)
        return record

    def enter(self, record: Record) -> None:
        """Remove the checkpoint of a finished round; write results.csv again if the round is new here."""
        self.checkpoint(record.key).unlink(missing_ok=True)
        if record.folder not in self._listed:
            self.list_all()

    def list_all(self) -> None:
        """Write results.csv again from all finished rounds."""
        with self.lock("results"):
            found = read(self.outputs, known=self._listed)
            files.write_bytes(self.results, results.to_csv(found.records))
        self._listed = {record.folder: record for record in found.records}
        for folder, why in found.skipped:
            if why != UNFINISHED:
                notice_once(f"{folder} is left out of results.csv: {why}")

    def tidy(self) -> None:
        """Remove drafts that killed processes left. A round's own folder is tidied when the round is trained."""
        folders = [self.outputs / name for name in ("", "checkpoints", "tests")]
        for folder in [*folders, *self.outputs.glob("experiments/*")]:
            files.tidy(folder)

    def lock(self, name: str) -> FileLock:
        """Return the lock of a round, or another one of this folder."""
        folder = self.rounds / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")
