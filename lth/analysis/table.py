"""Tables of rounds, for people."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import pandas as pd

from lth.analysis import ends, naming, pairs, statistics
from lth.tree.record import Record
from lth.tree.settings import setting, varied

SCORES = {  # field of a record: title, how it is printed; {} is the name of the score
    "early_stop_test_acc": ("test {} at early stop", "{:.3f}"),
    "early_stop_iteration": ("stop iteration", "{:.0f}"),
    "test_acc": ("test {}, last epoch", "{:.3f}"),
    "best_test_acc": ("test {} at best val", "{:.3f}"),
    "val_acc": ("val {}, last epoch", "{:.3f}"),
    "train_acc": ("train {} (running)", "{:.3f}"),
}
COST = {"speedup": ("theoretical speed-up", "{:.2f}x"), "seconds": ("seconds", "{:.1f}")}
BARRIER = {"barrier": ("error barrier", "{:.3f}")}  # of copies that saw the images in another order, see training/connectivity.py
SPARED = (  # where a terminal is narrow, the first goes first
    "seconds", "theoretical speed-up", "recipe", "finetune", r"train \S+ \(running\)", r"val \S+, last epoch",
    r"test \S+ at best val", r"test \S+, last epoch",
)  # fmt: skip
RUNNING = (
    "Train accuracy (running) is the mean over the batches of the last epoch, in train mode (with dropout), while the weights "
    "change: not that of the trained network."
)
UNSEEN = "early stop not seen"  # because the lowest validation loss was the last one
INTERVAL, ENOUGH = "95% interval of the mean at early stop", 3  # seeds from which on an interval is more than a guess
Columns = dict[str, Callable[[Any], str]]  # title -> what a row says, '' for nothing


def document(records: Sequence[Record]) -> str:
    """Return table.md: with several seeds their means, then each round, under captions that name the end point and n."""
    means = [f"**Means.** {caption(records)}", summary(records)] if len({record.seed for record in records}) > 1 else []
    return "\n\n".join([*means, f"**Rounds.** {caption(records, each=True)}", table(records), RUNNING]) + "\n"


def caption(records: Sequence[Record], accuracy: str = ends.EARLY_STOP, *, each: bool = False) -> str:
    """Return a sentence that names the end point, n, and how many early stops were not seen.

    Args:
        each: whether the table has a row for each round.
    """
    n = "a row a round" if each else ends.seeds([len(arm) for arm in pairs.arms(records).values()])
    late, title = ends.censored(records), ends.title(accuracy, ends.score(records))
    unseen = f" {late} of {len(records)} rounds stopped at the last iteration, so that their early stop was not seen." * bool(
        late
    )
    return f"{title[0].upper()}{title[1:]}, {n}.{unseen}"


def table(records: Sequence[Record]) -> str:
    """Return a Markdown table, one row a round; scores at early stop, of the last epoch and of the best one stand apart.

    Controls, ways of pruning, what a sweep varied and early stops that were not seen have columns where a round has any.
    """
    columns: Columns = {"seed": lambda r: str(r.seed), "round": lambda r: str(r.round)}
    for name in ("model", "finetune", "data", "rate"):
        if len({value for r in records if (value := getattr(r, name)) is not None}) > 1:
            columns[name] = partial(_cell, name, "{}")
    columns |= _what(records)
    if len(set(naming.chains(records).values())) > 1 and any(r.levels > 1 for r in records):
        columns["rounds at once"] = lambda r: str(r.levels) if r.round else ""
    if ends.censored(records):
        columns[UNSEEN] = lambda r: "yes" if r.censored else ""
    columns["weights remaining"] = lambda r: f"{r.density:.2%}"
    shown = _scores(records, SCORES | COST)
    return _rows(columns | {title: partial(_cell, name, form) for name, (title, form) in shown.items()}, records)


def summary(records: Sequence[Record]) -> str:
    """Return a Markdown table, one row a recipe, step, round and control, so that none of these is ever averaged.

    Its cells are the mean ± standard deviation (n - 1) over the n seeds, and from 3 seeds on the 95% interval of the mean test
    score at early stop, by Student's t.
    """
    arms = [list(arm.values()) for arm in pairs.arms(records).values()]
    of_first: Columns = {"recipe": lambda r: r.recipe[:6], "model": lambda r: r.model, "finetune": lambda r: r.finetune}
    of_first |= {"data": lambda r: r.data} if len({record.data for record in records}) > 1 else {}
    of_first["pruned by"] = lambda r: (f"{r.rate:g}" + f" x {r.levels}" * (r.levels > 1)) if r.round else "dense"
    of_first |= _what(records) | {"round": lambda r: str(r.round)}
    columns: Columns = {title: lambda arm, cell=cell: cell(arm[0]) for title, cell in of_first.items()}
    columns["weights remaining"] = lambda arm: f"{fmean(r.density for r in arm):.2%}"
    columns["n"] = lambda arm: str(len(arm))
    for name, (title, form) in _scores(records, SCORES).items():
        columns[title] = lambda arm, name=name, form=form: mean([getattr(r, name) for r in arm], form)
    if ends.censored(records):
        columns[UNSEEN] = lambda arm: f"{ends.censored(arm)} of {len(arm)}"
    if any(len(arm) >= ENOUGH for arm in arms):
        columns[INTERVAL] = lambda arm: (
            "{:.3f} to {:.3f}".format(*statistics.mean([r.early_stop_test_acc for r in arm]).interval)
            if len(arm) >= ENOUGH
            else ""
        )
    return _rows(columns, arms)


def layers(record: Record) -> str:
    """Return a Markdown table, one row a weight that is multiplied: its size and the FLOPs of one image, dense and remaining.

    The products of two activations, as attention has them, are a row without weights.
    """
    rows = []
    for name, flops in record.layer_flops.items():
        kept = record.layers.get(name, 1.0)
        count = str(record.layer_weights.get(name, "-" if name == "attention" else "not pruned"))
        rows.append([name.removesuffix(".weight"), count, f"{kept:.2%}", f"{flops}", f"{round(kept * flops)}"])
    total = ["all", f"{record.prunable}", f"{record.density:.2%}", f"{record.flops}", f"{record.flops_remaining}"]
    return markdown(pd.DataFrame([*rows, total], columns=["layer", "weights", "remaining", "FLOPs", "FLOPs remaining"]))


def mean(values: Sequence[float | None], form: str = "{:.3f}") -> str:
    """Return the mean ± standard deviation (n - 1) of the values that are not None; '' without any."""
    m = statistics.mean([value for value in values if value is not None])
    return (form.format(m.value) if m.n else "") + (f" ± {form.format(m.deviation)}" if m.n > 1 else "")


def markdown(frame: pd.DataFrame) -> str:
    """Return a frame of strings as an aligned Markdown table."""
    cells = [list(frame.columns), *frame.to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(c.rjust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|", *lines[1:]])


def fitting(text: str, width: int) -> str:
    """Return a Markdown table without the least needed of its columns, as far as it is wider than ``width`` characters."""
    rows = [line.strip("|").split("|") for line in text.splitlines()]
    for title in SPARED:
        if sum(len(cell) + 1 for cell in rows[0]) < width:
            break
        rows = [[cell for cell, name in zip(row, rows[0]) if not re.fullmatch(title, name.strip())] for row in rows]
    return "\n".join(f"|{'|'.join(row)}|" for row in rows)


def _rows(columns: Columns, items: Sequence[Any]) -> str:
    return markdown(pd.DataFrame({title: [cell(item) or "-" for item in items] for title, cell in columns.items()}))


def _what(records: Sequence[Record]) -> Columns:
    """Return columns of what a sweep varied, of the method and of controls, where records differ in them."""
    keys = varied(records)
    words = [naming.short(key) for key in keys]
    columns: Columns = {
        word if words.count(word) == 1 else key: lambda r, key=key: "" if (value := setting(r, key)) is None else f"{value}"
        for key, word in zip(keys, words)
    }
    columns |= {} if all(map(naming.plain, records)) else {"method": naming.method}
    return columns | ({"control": lambda r: r.control or ""} if any(r.control for r in records) else {})


def _scores(records: Sequence[Record], fields: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return fields with the titles that the records' score has; with the error barrier where a round has one."""
    fields, score = fields | (BARRIER if any(r.barrier is not None for r in records) else {}), ends.score(records)
    return {name: (title.format(score), form) for name, (title, form) in fields.items()}


def _cell(name: str, form: str, record: Record) -> str:
    return "" if (value := getattr(record, name)) is None else form.format(value)
