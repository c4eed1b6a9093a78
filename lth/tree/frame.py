"""``lth.rounds(outputs)``: finished rounds as a pandas DataFrame. Imports no torch."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from lth.errors import DataError
from lth.tree import settings
from lth.tree import store as stores

NESTED = ("images", "versions")  # whose entries become columns of their own, such as images.test
LEFT_OUT = ("checks", "files", "determined_by", "portrait")
ORDER = ["model", "data", "recipe", "seed", "step", "control", "levels", "round"]


def rounds(outputs: str | Path = "outputs") -> pd.DataFrame:
    """One row a finished round, from the ``round.json`` files of an outputs folder; chains stand together, in order.

    Columns: what round.json says (accuracies and densities are fractions, ``seconds`` is the wall time), what a sweep varied by
    dotted keys such as ``data.batch_size``, ``folder`` (for ``lth.load_ticket``), ``proved`` (whether all its proofs hold),
    ``images.test`` and the like. Dicts by name in ``settings`` (what is not at its default), ``layers``, ``layer_weights``,
    ``layer_flops`` and ``test_class_acc``; rows of counts (truth, given) in ``test_confusion``.

    Rounds that are unfinished or damaged, and copies of a round's folder, are left out, with a warning that names them.

    Raises:
        DataError: ``outputs`` holds no folder of rounds.

    Example::

        lth.rounds().query("control.isna()").pivot_table("test_acc", "density", "seed")
    """
    place = Path(outputs) / "rounds"
    if not place.is_dir():
        raise DataError(f"{outputs} holds no rounds; train some with python -m lth.run outputs={outputs}.")
    rows, skipped = _read(place)
    if skipped:
        warnings.warn(f"left out of {place}: {'; '.join(skipped)}", stacklevel=2)
    keys = settings.varied(rows.values())
    frame = pd.DataFrame([row | {key: settings.setting(row, key) for key in keys} for row in rows.values()])
    return frame.sort_values(ORDER, na_position="first", ignore_index=True) if rows else frame


def _read(place: Path) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Key -> row of each finished round, and what is said of the other folders."""
    rows, skipped = {}, []
    for folder in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
        try:
            row = _row(stores.load(folder), folder)
            if rows.setdefault(row["key"], row) is not row:
                skipped.append(f"{folder.name} (a copy of round {row['key']})")
        except FileNotFoundError:
            skipped.append(f"{folder.name} (not finished)")
        except DataError as error:
            skipped.append(f"{folder.name} (damaged: {error})")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            skipped.append(f"{folder.name} (damaged: {type(error).__name__}: {error})")
    return rows, skipped


def _row(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name not in (*NESTED, *LEFT_OUT)}
    nested = {f"{outer}.{name}": value for outer in NESTED for name, value in (record.get(outer) or {}).items()}
    defaults = {name: record[name] for name in ("key", "model", "data", "recipe", "seed", "step", "round", "density", "test_acc")}
    proved = all(proof["holds"] for proof in record["checks"].values() if "holds" in proof)
    return {"folder": str(folder), **defaults, "control": None, "levels": 1, **row, **nested, "proved": proved}
