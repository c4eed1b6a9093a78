"""Records as tables: results.csv, and ``lth.rounds`` as a pandas DataFrame. Imports no torch."""

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import DataError
from lth.tree.record import Record, read
from lth.tree.settings import setting, varied

if TYPE_CHECKING:
    import pandas as pd

LEFT_OUT = {"folder", "format", "hash", "round_format", "test"}  # of results.csv, as dicts and lists are
FIELDS = [f for f in fields(Record) if "dict" not in str(f.type) and "list" not in str(f.type)]
COLUMNS = [f.name for f in FIELDS if f.name not in LEFT_OUT]
ORDER = ["model", "data", "recipe", "seed", "step", "control", "levels", "round"]


def to_csv(records: Sequence[Record]) -> bytes:
    """Return the records as results.csv, in the order in which their rounds were finished.

    Fractions are from 0 to 1, times in seconds; what a sweep varied has columns by dotted keys of the configuration.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, [*COLUMNS, *varied(records)], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(sorted(records, key=lambda record: (record.finished, record.round, record.key))))
    return text.getvalue().encode()


def rounds(outputs: str | Path = "outputs") -> "pd.DataFrame":
    """Return one row for each finished round, from the ``round.json`` files of an outputs folder; chains are sorted together.

    Columns: the fields of ``lth.tree.record.Record`` (accuracies and densities are fractions, ``seconds`` is the wall time),
    what a sweep varied by dotted keys such as ``data.batch_size``, ``folder`` (for ``lth.load_ticket``), ``held`` (whether
    every invariant held), ``images.test`` and the like. Dicts by name in ``settings``, ``layers``, ``layer_weights``,
    ``layer_flops`` and ``test_class_acc``; rows of counts (true, predicted) in ``test_confusion``.

    Rounds that are unfinished or damaged, and copies of a round's folder, are left out, with a warning that names them.

    Raises:
        DataError: ``outputs`` holds no folder of rounds.

    Example::

        lth.rounds().query("control.isna()").pivot_table("test_acc", "density", "seed")
    """
    import pandas as pd

    if not (folder := Path(outputs) / "rounds").is_dir():
        raise DataError(f"{outputs} holds no rounds; train some with python -m lth.run outputs={outputs}.")
    found = read(Path(outputs))
    if left_out := "; ".join(f"{name} ({why})" for name, why in found.skipped):
        warnings.warn(f"left out of {folder}: {left_out}", stacklevel=2)
    frame = pd.DataFrame(_rows(found.records)).drop(columns=["checks", "files", "determined_by"], errors="ignore")
    return frame.sort_values(ORDER, na_position="first", ignore_index=True) if found.records else frame


def _rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    keys, rows = varied(records), []
    for record in records:
        row = vars(record) | {"folder": str(record.folder), "held": record.held}
        row |= {key: setting(record, key) for key in keys}
        for name in ("images", "versions"):  # their entries are columns of their own, such as images.test
            row |= {f"{name}.{entry}": value for entry, value in row.pop(name).items()}
        rows.append(row)
    return rows
