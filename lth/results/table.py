"""Tables of rounds, for people."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from lth.results import naming, statistics

COLUMNS = {  # of a record: title, how it is printed
    "seed": ("seed", "{}"),
    "round": ("round", "{}"),
    "density": ("weights remaining", "{:.2%}"),
    "train_acc": ("train acc", "{:.3f}"),
    "val_acc": ("val acc", "{:.3f}"),
    "test_acc": ("test acc", "{:.3f}"),
    "best_test_acc": ("test acc at best val", "{:.3f}"),
    "early_stop_iteration": ("early-stop iteration", "{:.0f}"),
    "speedup": ("theoretical speed-up", "{:.2f}x"),
    "seconds": ("seconds", "{:.1f}"),
}
MEANS = ("train_acc", "val_acc", "test_acc", "best_test_acc", "early_stop_iteration")
SPARED = ("seconds", "theoretical speed-up", "recipe", "finetune", "train acc", "test acc at best val", "val acc")
INTERVAL, ENOUGH = "95% interval of the mean test acc", 3  # seeds from which on an interval is more than a guess
BARRIER = {"barrier": ("error barrier", "{:.3f}")}  # of copies that saw the images in another order, see rounds/connectivity.py


def table(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a round; accuracies of the last epoch and of the best one stand apart.

    Controls and ways of pruning have a column where any record is a control, or pruned in another way than the default.
    """
    what, columns = _what(records), COLUMNS | _barrier(records)
    titles = [title for title, _ in columns.values()]
    rows = []
    for record in records:
        cells = [_cell(form, record.get(name)) for name, (_, form) in columns.items()]
        rows.append([*cells[:2], *(name(record) or "-" for name in what.values()), *cells[2:]])
    return markdown(pd.DataFrame(rows, columns=[*titles[:2], *what, *titles[2:]]))


def summary(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a recipe, step, round and control: mean ± standard deviation (n - 1) over the n seeds, and
    from 3 seeds on the 95% interval of the mean test accuracy, by Student's t.

    So neither recipes, nor ways of pruning, nor tickets and their controls are ever averaged.
    """
    what = _what(records)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["recipe"], record["step"], record["round"], naming.control(record)), []).append(record)
    titles = ["recipe", "model", "finetune", "pruned by", *what, "round", "weights remaining", "n"]
    columns = {name: COLUMNS[name] for name in MEANS} | _barrier(records)
    rows = [[*_row(group, what, columns), _interval([record["test_acc"] for record in group])] for group in groups.values()]
    frame = pd.DataFrame(rows, columns=[*titles, *(title for title, _ in columns.values()), INTERVAL])
    return markdown(frame.drop(columns=[] if any(len(group) >= ENOUGH for group in groups.values()) else [INTERVAL]))


def _interval(values: Sequence[float]) -> str:
    return "-" if len(values) < ENOUGH else "{:.3f} to {:.3f}".format(*statistics.mean_interval(values))


def _barrier(records: Sequence[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return BARRIER if any(record.get("barrier") is not None for record in records) else {}


def _row(
    group: list[dict[str, Any]], what: dict[str, Callable[[dict[str, Any]], str]], columns: dict[str, tuple[str, str]]
) -> list[str]:
    first, frame = group[0], pd.DataFrame(group)
    many = f" x {first['at_once']}" if first["at_once"] > 1 else ""
    how = f"{first['rate']:g}{many}" if first["round"] else "dense"
    names = [first["recipe"][:6], first["model"], first["finetune"], how, *(name(first) or "-" for name in what.values())]
    counts = [str(first["round"]), f"{frame['density'].mean():.2%}", str(frame["seed"].nunique())]
    means = (_mean(frame[name].dropna(), form) if name in frame else "-" for name, (_, form) in columns.items())
    return [*names, *counts, *means]


def _what(records: Sequence[dict[str, Any]]) -> dict[str, Callable[[dict[str, Any]], str]]:
    """The columns that not every table needs: title -> what it says of a record."""
    method = {} if all(naming.plain(record) for record in records) else {"method": naming.method}
    return method | ({"control": naming.control} if any(naming.control(record) for record in records) else {})


def layers(record: dict[str, Any]) -> str:
    """A Markdown table, one row a weight that is multiplied: its size and the FLOPs of one image, dense and remaining.

    The products of two activations, as attention has them, are a row without weights.
    """
    density, weights = record["layers"], record["layer_weights"]
    rows = []
    for name, flops in record["layer_flops"].items():
        kept = density.get(name, 1.0)
        count = f"{weights[name]}" if name in weights else "-" if name == "attention" else "not pruned"
        rows.append([name.removesuffix(".weight"), count, f"{kept:.2%}", f"{flops}", f"{round(kept * flops)}"])
    total = ["all", f"{record['prunable']}", f"{record['density']:.2%}", f"{record['flops']}", f"{record['flops_remaining']}"]
    return markdown(pd.DataFrame([*rows, total], columns=["layer", "weights", "remaining", "FLOPs", "FLOPs remaining"]))


def _mean(values: pd.Series, form: str) -> str:
    return form.format(values.mean()) + (f" ± {form.format(values.std())}" if len(values) > 1 else "")


def _cell(form: str, value: Any) -> str:
    return "-" if value is None else form.format(value)


def markdown(frame: pd.DataFrame) -> str:
    """A frame of strings as an aligned Markdown table."""
    cells = [list(frame.columns), *frame.to_numpy().tolist()]
    widths = [max(len(row[i]) for row in cells) for i in range(len(frame.columns))]
    lines = ["| " + " | ".join(c.rjust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|", *lines[1:]])


def fitting(text: str, width: int) -> str:
    """A Markdown table without the least needed of its columns, as far as it is wider than ``width`` characters."""
    rows = [line.strip("|").split("|") for line in text.splitlines()]
    for title in SPARED:
        if sum(len(cell) + 1 for cell in rows[0]) < width:
            break
        rows = [[cell for cell, name in zip(row, rows[0]) if name.strip() != title] for row in rows]
    return "\n".join(f"|{'|'.join(row)}|" for row in rows)
