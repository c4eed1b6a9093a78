"""Rounds of an outputs folder, one after another, each reduced to what tables and figures need."""

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lth.hashes import of_file, of_record

TEXT, NUMBER = str, (int, float)
TEXTS = ("key", "name", "model", "finetune", "data", "recipe", "step")
NUMBERS = (
    "density", "train_acc", "val_acc", "test_acc", "best_val_acc", "best_test_acc", "early_stop_iteration", "early_stop_val_acc",
    "early_stop_test_acc", "kept", "prunable", "seconds",
)  # fmt: skip
WHOLE = ("round", "seed", "levels")
OPTIONAL = {  # which older rounds lack, or which do not apply to each: then None
    "parent": TEXT, "control": TEXT, "family": TEXT, "criterion": TEXT, "allocation": TEXT, "rewind": TEXT, "retrain": TEXT,
    "start": TEXT, "command": TEXT, "finished": TEXT, "test": TEXT,
    "epochs": NUMBER, "iterations": NUMBER, "rate": NUMBER, "barrier": NUMBER, "flops": NUMBER, "flops_remaining": NUMBER,
    "parameters": NUMBER, "model_density": NUMBER, "effective_density": NUMBER, "speedup": NUMBER, "images_per_second": NUMBER,
    "best_epoch": NUMBER, "best_iteration": NUMBER, "best_train_acc": NUMBER, "early_stop_epoch": NUMBER,
    "early_stop_train_loss": NUMBER, "early_stop_train_acc": NUMBER, "early_stop_val_loss": NUMBER,
    "censored": bool, "pretrained": bool, "settings": dict,
    "determined_by": dict, "line": dict, "images": dict, "files": dict,
}  # fmt: skip
FILTERS = ("model", "data", "seed", "finetune")

Record = dict[str, Any]


@dataclass
class Found:
    """``records`` of finished rounds in order of their folders' names; ``skipped``: (folder, why) of the others."""

    records: list[Record] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, folder: str | Path, why: str) -> None:
        """Note, once, that a folder or a part of it is left out; the page may travel, so where the outputs lie is not said."""
        if isinstance(folder, Path):
            for place in (folder, folder.parent.parent):
                why = why.replace(f"{place}{os.sep}", "")
        if (note := (Path(folder).name, why)) not in self.skipped:
            self.skipped.append(note)


def read(outputs: Path, filters: Mapping[str, Sequence[str]] | None = None) -> Found:
    """All finished rounds under ``outputs/rounds`` that pass the filters.

    Args:
        filters: field (one of FILTERS) -> the values that it may have, as text.
    """
    found = Found()
    keys: set[str] = set()
    for folder in _folders(outputs / "rounds"):
        try:
            record = _slim(_sealed(folder), folder)
        except FileNotFoundError:
            found.skip(folder, "unfinished: it has no round.json yet")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            found.skip(folder, f"damaged: its round.json cannot be read ({type(error).__name__}: {error})")
        else:
            if record["key"] in keys:
                found.skip(folder, f"a copy: another folder holds round {record['key']}, too")
            elif all(str(record[name]) in values for name, values in (filters or {}).items()):
                found.records.append(record)
            keys.add(record["key"])
    return found


def _folders(rounds: Path) -> Iterator[Path]:
    if rounds.is_dir():
        with os.scandir(rounds) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        yield from (rounds / name for name in names)


def _sealed(folder: Path) -> Any:
    """What a round.json holds; raises OSError where it is not there, ValueError where it is not what was written."""
    record = json.loads((folder / "round.json").read_bytes())
    if isinstance(record, dict) and record.get("hash") != of_record(record):
        raise ValueError("it does not match its seal")
    return record


def _slim(record: Any, folder: Path) -> Record:
    """What is kept of a round.json; raises ValueError where a field is not what it must be, KeyError where it is missing."""
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    must = dict.fromkeys(TEXTS, TEXT) | dict.fromkeys(NUMBERS, NUMBER) | dict.fromkeys(WHOLE, int)
    kept = {name: record[name] for name in must} | {name: record.get(name) for name in OPTIONAL}
    for name, kinds in (must | OPTIONAL).items():
        absent = kept[name] is None and name in OPTIONAL
        if not absent and (not isinstance(kept[name], kinds) or (kinds is NUMBER and not math.isfinite(kept[name]))):
            raise ValueError(f"{name}={kept[name]!r}")
    if not 0 < record["density"] <= 1:
        raise ValueError(f"density={record['density']!r}")
    if record["round"] and kept["rate"] is None:
        raise ValueError(f"rate=None in round {record['round']}")
    return kept | {"layers": _layers(record), "line": _line(kept["line"]), "folder": folder}


def _line(line: Any) -> dict[str, list[float]] | None:
    """Errors along the line between two copies, as numbers, one for each point."""
    if line is None:
        return None
    alphas, errors = ([float(value) for value in line[name]] for name in ("alphas", "errors"))
    if not alphas or len(alphas) != len(errors):
        raise ValueError(f"{len(alphas)} points and {len(errors)} errors on the line between copies")
    return {"alphas": alphas, "errors": errors}


def _layers(record: Record) -> dict[str, tuple[int, float]]:
    """Layer -> (weights, density)."""
    counts, densities = record.get("layer_weights") or {}, record.get("layers") or {}
    return {str(name): (int(counts[name]), float(density)) for name, density in densities.items() if name in counts}


def whole(record: Record) -> Record:
    """Everything that a record's round.json holds; raises OSError or ValueError where it is gone by now."""
    return _sealed(record["folder"])


def intact(record: Record, name: str) -> Path:
    """A file of a round, by its name there; raises OSError or ValueError where it does not match its hash in round.json."""
    path, hashed = record["folder"] / name, (record["files"] or {}).get(name)
    if hashed and of_file(path) != hashed:
        raise ValueError(f"{path.name} does not match its hash")
    return path


def history(record: Record) -> list[dict[str, float]]:
    """The rows of a round's metrics.csv; raises OSError, ValueError or KeyError where it is missing or damaged."""
    with open(intact(record, "metrics.csv"), newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    if not rows or not {"iteration", "val_loss", "val_acc"} <= rows[0].keys():
        raise ValueError("metrics.csv has no row, or lacks a column")
    return rows
