"""The doctor: proves finished rounds again, from their files alone. Imports no torch until there is a round to check."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lth.errors import DataError, LthError, UsageError
from lth.tree.record import load
from lth.tree.spec import Spec, restored
from lth.tree.store import Store


def verify(outputs: Path, say: Callable[[str], None] = print) -> int:
    """Check every finished round of a folder, parents first; says one line a round and a summary.

    Returns the number of rounds that are broken. A round whose parent is broken is broken too.

    Raises UsageError where there is no such folder, or no round in it was ever finished.
    """
    store = Store(outputs)
    if not outputs.is_dir():
        raise UsageError(f"{outputs} is no folder; name the outputs of an experiment.")
    folders, lost = store.finished(), _lost(store)
    if not folders and not lost:
        raise UsageError(f"{outputs} holds no finished round; name the outputs of an experiment.")
    sentences = dict.fromkeys(lost, "results.csv lists it as finished, but it has no round.json.")
    for name, sentence in sentences.items():
        say(f"broken  {name}: {sentence}")
    doctor = Doctor(store)
    for folder in sorted(folders, key=_generation):
        sentence = doctor.check(folder)
        if sentence:
            sentences[folder.name] = sentence
        say(f"broken  {folder.name}: {sentence}" if sentence else f"ok      {folder.name}")
    total = len(folders) + len(lost)
    say(f"{total} {'round' if total == 1 else 'rounds'}: {total - len(sentences)} ok, {len(sentences)} broken")
    return len(sentences)


def _lost(store: Store) -> list[str]:
    """Names of the rounds that results.csv has and that have no round.json; none where it cannot be read."""
    keys = {folder.name.rpartition("-")[2] for folder in store.finished()}
    try:
        rows = list(csv.DictReader(store.results.read_text().splitlines()))
    except (OSError, ValueError, csv.Error):
        return []
    return [row["name"] for row in rows if row.get("name") and row.get("key") not in keys]


def _generation(folder: Path) -> tuple[int, str]:
    """Sorts parents before their children: by round, then tickets before controls. Damaged records come first."""
    try:
        record = load(folder)
        return 2 * int(record["round"]) + (record["control"] is not None), folder.name
    except (DataError, KeyError, TypeError, ValueError, OSError):
        return -1, folder.name


class Doctor:
    """Checks rounds one by one, and remembers those that are whole."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.whole: dict[str, tuple[Spec, dict[str, Any], Path]] = {}

    def check(self, folder: Path) -> str:
        """What is broken in a finished round, in one sentence; empty if nothing is. Parents are to be checked before."""
        try:
            record = load(folder)
            spec = self._spec(record)
            self._prove(folder, record, spec)
        except LthError as error:
            return str(error)
        except KeyError as error:
            return f"round.json or a file's header lacks {error}."
        except Exception as error:  # whatever a damaged file provokes, the other rounds are checked
            return f"its files cannot be read: {type(error).__name__}, {' '.join(str(error).split())}."
        self.whole[spec.key] = spec, record, folder
        return ""

    def _spec(self, record: dict[str, Any]) -> Spec:
        """What determined a round; its parent has to be whole."""
        parent = record["determined_by"].get("parent")
        if parent is None or parent in self.whole:
            return restored(record["determined_by"], self.whole[parent][0] if parent else None)
        there = self.store.folder(parent)
        raise DataError(f"its parent {there.name} is broken." if there else f"its parent {parent} is missing.")

    def _prove(self, folder: Path, record: dict[str, Any], spec: Spec) -> None:
        from lth.invariants import files as checks  # costs seconds: torch
        from lth.invariants import lineage

        checks.identity(record, spec, folder.name)
        checks.intact(record, folder)
        found = checks.read(record, spec, folder)
        for check in checks.OWN:
            check(found)
        root = self.whole[spec.root.key][1] if spec.parent else record
        parent = None
        if spec.parent:
            parent_spec, parent_record, parent_folder = self.whole[spec.parent.key]
            parent = checks.read(parent_record, parent_spec, parent_folder)
        lineage.check(found, parent, root, self.store)
