"""results.csv: a row a finished round, written from the rounds themselves as a whole each time that one is new."""

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lth.errors import notice
from lth.tree import files, settings, sheet


def write(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of all finished rounds, in the order in which they were finished, unless they are there.

    A file that says something else of one of these rounds is named; nothing of it is kept. Nobody else writes meanwhile.
    """
    ordered = sorted(records, key=lambda record: (record["finished"], record["round"], record["key"]))
    content = sheet.comma_separated(ordered).encode()
    old = path.read_bytes() if path.is_file() else None
    if old == content:
        return
    if os.path.lexists(path) and (old is None or differs(old, records)):
        notice(f"{path} is not what its rounds say; it is written again.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    files.write_bytes(path, content)


def rows(content: bytes) -> list[dict[str, str]]:
    """The rows in a results.csv. Raises ValueError or csv.Error where it is no text."""
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def differs(content: bytes, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a results.csv lacks a column or says something of a round that its record does not; it may lack rounds."""
    try:
        header = next(csv.reader(io.StringIO(content.decode(), newline="")), [])
        entered = rows(content)
    except (ValueError, csv.Error):
        return True
    by_key = {record["key"]: record for record in records}
    known = [(row, by_key[row["key"]]) for row in entered if row.get("key") in by_key]
    torn = any(None in row or None in row.values() for row in entered)
    return torn or tuple(header[: len(sheet.COLUMNS)]) != sheet.COLUMNS or any(row != _row(r, header) for row, r in known)


def _row(record: Mapping[str, Any], header: Sequence[str]) -> dict[str, str]:
    """A record as it is read back from a file."""
    values = {name: record.get(name) if name in sheet.COLUMNS else settings.setting(record, name) for name in header}
    return {name: "" if value is None else str(value) for name, value in values.items()}
