"""outputs/schedule.csv: when and where a launcher trained rounds, one row for each attempt. Imports no torch."""

import csv
import os
from dataclasses import dataclass, fields
from pathlib import Path

FILE = "schedule.csv"


@dataclass(frozen=True)
class Attempt:
    """One training of a round by a worker. ``begin``, ``end``: seconds since 1970; ``exit``: negative for a signal."""

    key: str
    parent: str
    worker: str
    begin: float
    end: float
    attempt: int
    exit: int


NAMES = [field.name for field in fields(Attempt)]


def append(outputs: Path, attempts: list[Attempt]) -> None:
    """Append rows; one write each, so that several drivers on a folder do not mix theirs."""
    outputs.mkdir(parents=True, exist_ok=True)
    with open(outputs / FILE, "ab", buffering=0) as file:
        if not os.fstat(file.fileno()).st_size:
            file.write((",".join(NAMES) + "\n").encode())
        for a in attempts:
            file.write(f"{a.key},{a.parent},{a.worker},{a.begin:.3f},{a.end:.3f},{a.attempt},{a.exit}\n".encode())


def read(outputs: Path) -> list[Attempt]:
    """Return the attempts, in the order in which they ended; rows that a crash cut off are left out."""
    if not (outputs / FILE).exists():
        return []
    attempts = []
    with open(outputs / FILE, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            try:
                kinds = {"begin": float, "end": float, "attempt": int, "exit": int}
                attempts.append(Attempt(**{name: kinds.get(name, str)(row[name]) for name in NAMES}))
            except (TypeError, ValueError, KeyError):
                continue
    return attempts
