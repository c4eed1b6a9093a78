"""Tables of rounds, for people."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd

from lth.analysis import ends, naming, pairs, statistics

COLUMNS = {  # of a record: title, how it is printed
    "seed": ("seed", "{}"),
    "round": ("round", "{}"),
    "density": ("weights remaining", "{:.2%}"),
    "early_stop_test_acc": ("test acc at early stop", "{:.3f}"),
    "early_stop_iteration": ("stop iteration", "{:.0f}"),
    "test_acc": ("test acc, last epoch", "{:.3f}"),
    "best_test_acc": ("test acc at best val", "{:.3f}"),
    "val_acc": ("val acc, last epoch", "{:.3f}"),
    "train_acc": ("train acc (running)", "{:.3f}"),
    "speedup": ("theoretical speed-up", "{:.2f}x"),
    "seconds": ("seconds", "{:.1f}"),
}
MEANS = ("early_stop_test_acc", "early_stop_iteration", "test_acc", "best_test_acc", "val_acc", "train_acc")
SPARED = (  # where a terminal is narrow, the first goes first
    "seconds", "theoretical speed-up", "recipe", "finetune", "train acc (running)", "val acc, last epoch", "test acc at best val",
    "test acc, last epoch",
)  # fmt: skip
RUNNING = (
    "Train accuracy (running) is the mean over the batches of the last epoch, in train mode (with dropout), while the weights "
    "change: not that of the trained network."
)
UNSEEN = "early stop not seen"  # because the lowest validation loss was the last one
INTERVAL, ENOUGH = "95% interval of the mean at early stop", 3  # seeds from which on an interval is more than a guess
BARRIER = {"barrier": ("error barrier", "{:.3f}")}  # of copies that saw the images in another order, see training/connectivity.py


def document(records: Sequence[dict[str, Any]]) -> str:
    """table.md: with several seeds their means, then each round, under captions that name the end point and n."""
    several = len({record["seed"] for record in records}) > 1
    means = [f"**Means.** {caption(records)}", summary(records)] * several
    return "\n\n".join([*means, f"**Rounds.** {caption(records, each=True)}", table(records), RUNNING]) + "\n"


def caption(records: Sequence[dict[str, Any]], accuracy: str = ends.EARLY_STOP, *, each: bool = False) -> str:
    """A sentence that names the end point, n, and how many early stops were not seen; ``stop iteration`` is early stop's.

    Args:
        each: whether the table has a row for each round.
    """
    arms = pairs.arms(records)
    n = "a row a round" if each else ends.seeds([len(arm) for arm in arms.values()])
    late = ends.censored(records)
    said = f" {late} of {len(records)} rounds stopped at the last iteration, so that their early stop was not seen." * bool(late)
    return f"{ends.title(accuracy).capitalize()}, {n}.{said}"


def table(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a round; accuracies at early stop, of the last epoch and of the best one stand apart.

    Controls, ways of pruning, what a sweep varied and early stops that were not seen have columns where there are any.
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
    from 3 seeds on the 95% interval of the mean test accuracy at early stop, by Student's t.

    So neither recipes, nor ways of pruning, nor tickets and their controls are ever averaged.
    """
    what = _what(records, each=False)
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault((record["recipe"], record["step"], record["round"], naming.control(record)), []).append(record)
    titles = ["recipe", "model", "finetune", "data", "pruned by", *what, "round", "weights remaining", "n"]
    columns = {name: COLUMNS[name] for name in MEANS} | _barrier(records)
    rows = [
        [
            *_row(group, what, columns),
            f"{ends.censored(group)} of {len(group)}",
            _interval([record[ends.EARLY_STOP] for record in group]),
        ]
        for group in groups.values()
    ]
    frame = pd.DataFrame(rows, columns=[*titles, *(title for title, _ in columns.values()), UNSEEN, INTERVAL])
    spare = {
        "data": len({record["data"] for record in records}) == 1,
        UNSEEN: not ends.censored(records),
        INTERVAL: all(len(group) < ENOUGH for group in groups.values()),
    }
    return markdown(frame.drop(columns=[title for title, drop in spare.items() if drop]))


def _interval(values: Sequence[float]) -> str:
    return "-" if len(values) < ENOUGH else "{:.3f} to {:.3f}".format(*statistics.mean_interval(values))


def _barrier(records: Sequence[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    return BARRIER if any(record.get("barrier") is not None for record in records) else {}


def _row(
    group: list[dict[str, Any]], what: dict[str, Callable[[dict[str, Any]], str]], columns: dict[str, tuple[str, str]]
) -> list[str]:
    first, frame = group[0], pd.DataFrame(group)
    many = f" x {first['levels']}" if first["levels"] > 1 else ""
    how = f"{first['rate']:g}{many}" if first["round"] else "dense"
    names = [
        first["recipe"][:6],
        first["model"],
        first["finetune"],
        first["data"],
        how,
        *(name(first) or "-" for name in what.values()),
    ]
    counts = [str(first["round"]), f"{frame['density'].mean():.2%}", str(frame["seed"].nunique())]
    means = (_mean(frame[name].dropna(), form) if name in frame else "-" for name, (_, form) in columns.items())
    return [*names, *counts, *means]


def _what(records: Sequence[dict[str, Any]], *, each: bool = True) -> dict[str, Callable[[dict[str, Any]], str]]:
    """The columns that not every table needs: title -> what it says of a record.

    Args:
        each: whether the table has a row for each round.
    """
    found: dict[str, Callable[[dict[str, Any]], str]] = {}
    for title, name in (("model", "model"), ("finetune", "finetune"), ("data", "data"), ("rate", "rate")):
        if each and len({r[name] for r in records if r[name] is not None}) > 1:
            found[title] = partial(_field, name)
    keys = naming.varied(records)
    words = [naming.short(key) for key in keys]
    found |= {word if words.count(word) == 1 else key: partial(_setting, key) for key, word in zip(keys, words)}
    if not all(naming.plain(record) for record in records):
        found["method"] = naming.method
    if any(naming.control(record) for record in records):
        found["control"] = naming.control
    if each and len(set(naming.chains(records).values())) > 1 and any(r["levels"] > 1 for r in records):
        found["rounds at once"] = lambda record: str(record["levels"]) if record["round"] else ""
    if each and ends.censored(records):
        found[UNSEEN] = lambda record: "yes" if record.get("censored") else ""
    return found


def _field(name: str, record: dict[str, Any]) -> str:
    return "" if record[name] is None else f"{record[name]}"


def _setting(key: str, record: dict[str, Any]) -> str:
    return "" if (value := naming.setting(record, key)) is None else f"{value}"


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
