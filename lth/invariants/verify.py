"""Checks finished rounds again, from their files alone. Imports no torch until there is a round to check."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from lth.errors import DataError, LthError, UsageError
from lth.tree.record import Record, load
from lth.tree.spec import Spec
from lth.tree.store import Store

Valid = dict[str, tuple[Record, Spec]]  # by key


def verify(outputs: Path, say: Callable[[str], None] = print) -> int:
    """Check every finished round of a folder, parents first; print a line for each and a summary.

    Returns the number of broken rounds. A round whose parent is broken is broken too. Rounds that results.csv has and no folder
    holds are named, and are not counted: whoever deletes a folder wants the round trained again.

    Raises:
        UsageError: there is no such folder, or it holds no finished round.
    """
    if not outputs.is_dir():
        raise UsageError(f"{outputs} is no folder; name the outputs of an experiment.")
    store, valid = Store(outputs), Valid()
    folders = sorted(store.finished(), key=generation)
    if not folders:
        raise UsageError(f"{outputs} holds no finished round; name the outputs of an experiment.")
    broken = 0
    for folder in folders:
        sentence = check(folder, store, valid)
        broken += bool(sentence)
        say(f"broken  {folder.name}: {sentence}" if sentence else f"ok      {folder.name}")
    for name in gone(outputs, folders):
        say(f"gone    {name}: results.csv has it, and its folder is not here")
    total = len(folders)
    say(f"{total} {'round' if total == 1 else 'rounds'}: {total - broken} ok, {broken} broken")
    return broken


def check(folder: Path, store: Store, valid: Valid) -> str:
    """Return what is broken in a finished round, in one sentence, or ''; a valid round is added to ``valid``."""
    try:
        record = load(folder)
        parent = record.determined_by.get("parent")
        if parent is not None and parent not in valid:
            raise DataError(f"its parent {parent} is missing or broken.")
        spec = Spec(record.determined_by, valid[parent][1] if parent else None)
        from lth.invariants import files  # imports torch, which takes seconds

        files.check(record, spec, valid[spec.root.key][0] if parent else record, valid.get(parent), store)
    except LthError as error:
        return str(error)
    except Exception as error:  # whatever a damaged file causes, the other rounds are checked
        return f"its files cannot be read: {type(error).__name__}, {' '.join(str(error).split())}."
    valid[spec.key] = record, spec
    return ""


def gone(outputs: Path, folders: Sequence[Path]) -> list[str]:
    """Return the names of rounds in results.csv that are not in ``folders``; a damaged file is written again, and names none."""
    here = {folder.name.rpartition("-")[2] for folder in folders}
    try:
        rows = list(csv.DictReader((outputs / "results.csv").read_text(errors="replace").splitlines()))
    except (OSError, csv.Error):
        return []
    return [row["name"] for row in rows if row.get("name") and row.get("key") not in here]


def generation(folder: Path) -> tuple[int, bool, str]:
    """Return what sorts parents before their children; damaged records come first."""
    try:
        record = load(folder)
    except (DataError, OSError):
        return -1, False, folder.name
    return record.round, record.control is not None, folder.name
