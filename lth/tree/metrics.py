"""The validations of a round: the rows of metrics.csv, and which of them are end points. Imports no torch."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SCORES = ("train_loss", "train_acc", "val_loss", "val_acc")
COLUMNS = ("epoch", "iteration", *SCORES, "lr", "images_per_second", "seconds")
DENSITY = "density"  # a column of rounds that are pruned while they train
# The first row with the lowest validation loss (Frankle & Carbin 2019, section 2) or the highest validation accuracy.
END_POINTS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "early_stop": lambda row: float(row["val_loss"]),
    "best": lambda row: -float(row["val_acc"]),
}


def end_point(rows: Sequence[Row], name: str) -> Row:
    """Return the row of one of END_POINTS, among those of the last density: before, it was another network."""
    return min((row for row in rows if row.get(DENSITY) == rows[-1].get(DENSITY)), key=END_POINTS[name])


def scores(rows: Sequence[Row]) -> Row:
    """Return the fields of a ``Record`` that follow from the rows."""
    last = rows[-1]
    fields = {name: last.get(name) for name in SCORES} | {"iterations": last["iteration"]}
    for name in END_POINTS:
        row = end_point(rows, name)
        fields |= {f"{name}_{column}": row.get(column) for column in ("epoch", "iteration", *SCORES)}
    return fields | {"censored": end_point(rows, "early_stop") is last}


def to_csv(rows: Sequence[Row]) -> bytes:
    """Return the rows as a CSV file; what a row lacks is empty."""
    text = io.StringIO()
    columns = (*COLUMNS, DENSITY) if DENSITY in rows[-1] else COLUMNS
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read(path: Path) -> list[dict[str, float | None]]:
    """Return the rows of a metrics.csv; losses in nats, accuracies as fractions, epochs and iterations from 1."""
    with open(path, newline="") as file:
        return [{name: float(value) if value else None for name, value in row.items()} for row in csv.DictReader(file)]
