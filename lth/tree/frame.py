"""``lth.rounds(outputs)``: finished rounds as a pandas DataFrame. Imports no torch."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from lth.errors import DataError
from lth.tree import record, settings

NESTED = ("images", "versions")  # their entries become columns of their own, such as images.test
LEFT_OUT = ("checks", "files", "determined_by")
ORDER = ["model", "data", "recipe", "seed", "step", "control", "levels", "round"]


def rounds(outputs: str | Path = "outputs") -> pd.DataFrame:
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
    if not (folder := Path(outputs) / "rounds").is_dir():
        raise DataError(f"{outputs} holds no rounds; train some with python -m lth.run outputs={outputs}.")
    read = record.read(Path(outputs))
    if left_out := "; ".join(f"{name} ({why})" for name, why in read.skipped):
        warnings.warn(f"left out of {folder}: {left_out}", stacklevel=2)
    keys = settings.varied(read.records)
    frame = pd.DataFrame([_row(r) | {key: settings.setting(r, key) for key in keys} for r in read.records])
    return frame.sort_values(ORDER, na_position="first", ignore_index=True) if read.records else frame


def _row(record: record.Record) -> dict[str, Any]:
    row = {name: value for name, value in vars(record).items() if name not in (*NESTED, *LEFT_OUT)}
    nested = {f"{outer}.{name}": value for outer in NESTED for name, value in getattr(record, outer).items()}
    return row | {"folder": str(record.folder), "held": record.held} | nested
