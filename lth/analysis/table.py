"""Tables of rounds, for people."""

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

import pandas as pd

from lth.analysis import ends, naming, pairs
from lth.tree.record import Record
from lth.tree.settings import setting, varied

SCORES = {  # field of a record: title ({} is the name of the score), form; a narrow terminal does without the last
    "early_stop_test_acc": ("test {} at early stop", "{:.3f}"),
    "early_stop_iteration": ("stop iteration", "{:.0f}"),
    "test_acc": ("test {}, last epoch", "{:.3f}"),
    "best_test_acc": ("test {} at best val", "{:.3f}"),
    "val_acc": ("val {}, last epoch", "{:.3f}"),
    "train_acc": ("train {} (running)", "{:.3f}"),
    "barrier": ("error barrier", "{:.3f}"),  # of copies, see training/connectivity.py
    "speedup": ("theoretical speed-up", "{:.2f}x"),
    "seconds": ("seconds", "{:.1f}"),
}
NEEDED = "stop iteration"  # and what stands left of it
RUNNING = (
    "Train accuracy (running) is the mean over the batches of the last epoch, in train mode (with dropout), while the weights "
    "change: not that of the trained network."
)
UNSEEN = "early stop not seen"  # because the lowest validation loss was the last one


def document(records: Sequence[Record]) -> str:
    """Return table.md: with several seeds their means, then each round, under captions."""
    several = len({record.seed for record in records}) > 1
    means = [f"**Means.** {caption(records)}", summary(records)] if several else []
    return "\n\n".join([*means, f"**Rounds.** {caption(records, each=True)}", table(records), RUNNING]) + "\n"


def caption(records: Sequence[Record], accuracy: str = ends.EARLY_STOP, *, each: bool = False) -> str:
    """Return a sentence on the end point, n (or a row for ``each`` round), and how many early stops were not seen."""
    n = "a row a round" if each else ends.seeds([len(arm) for arm in pairs.arms(records).values()])
    late, title = ends.censored(records), ends.title(accuracy, ends.score(records))
    unseen = f" {late} of {len(records)} rounds stopped at the last iteration, so that their early stop was not seen."
    return f"{title[0].upper()}{title[1:]}, {n}.{unseen if late else ''}"


def table(records: Sequence[Record]) -> str:
    """Return a Markdown table, one row a round; scores at early stop, of the last epoch and of the best one stand apart.

    What differs among the records has a column, and so have early stops that were not seen.
    """
    seeds = {"seed": [str(r.seed) for r in records]}
    return markdown(pd.DataFrame(seeds | _columns(records, [[r] for r in records])))


def summary(records: Sequence[Record]) -> str:
    """Return a Markdown table, one row a recipe, step, round and control: mean ± standard deviation (n - 1) over n seeds."""
    arms = [list(arm.values()) for arm in pairs.arms(records).values()]
    seeds = {"n": [str(len(arm)) for arm in arms]}
    return markdown(pd.DataFrame(seeds | _columns(records, arms)))


def _columns(records: Sequence[Record], rows: list[list[Record]]) -> dict[str, list[str]]:
    """Return title -> the cells of rows, each over the records that it stands for, '' for nothing."""
    columns = {"round": [str(row[0].round) for row in rows]}
    for title, cell in _facts(records).items():
        if len({cell(r) for r in records} - {""}) > 1:
            columns[title] = [cell(row[0]) for row in rows]
    if ends.censored(records):
        unseen = [(ends.censored(row), len(row)) for row in rows]
        columns[UNSEEN] = ["" if not count else "yes" if n == 1 else f"{count} of {n}" for count, n in unseen]
    columns["weights remaining"] = [f"{fmean(r.density for r in row):.2%}" for row in rows]
    for name, (title, form) in SCORES.items():
        if any(getattr(r, name) is not None for r in records):
            columns[title.format(ends.score(records))] = [mean([getattr(r, name) for r in row], form) for row in rows]
    return columns


def _facts(records: Sequence[Record]) -> dict[str, Callable[[Record], str]]:
    """Return title -> what a row says where the records differ in it; '' of what does not apply to a round."""
    return {
        "model": lambda r: r.model,
        "finetune": lambda r: r.finetune,
        "data": lambda r: r.data,
        "rate": lambda r: f"{r.rate:g}" if r.rate else "",
        "rounds at once": lambda r: str(r.levels) if r.round else "",
        # where a round may stand for several, its number does not tell what it cost
        **({"epochs in all": lambda r: str(r.epochs_in_all)} if any(r.levels > 1 for r in records) else {}),
        **{key: lambda r, key=key: "" if setting(r, key) is None else str(setting(r, key)) for key in varied(records)},
        "method": naming.method,
        "control": lambda r: r.control or "-",
        "recipe": lambda r: r.recipe[:6],
    }


def layers(record: Record) -> str:
    """Return a Markdown table, one row a weight that is multiplied: its size and the FLOPs of one image."""
    rows = []
    for name, flops in record.layer_flops.items():
        kept = record.layers.get(name, 1.0)
        count = str(record.layer_weights.get(name, "-" if name == "attention" else "not pruned"))
        rows.append([name.removesuffix(".weight"), count, f"{kept:.2%}", f"{flops}", f"{round(kept * flops)}"])
    total = ["all", f"{record.prunable}", f"{record.density:.2%}", f"{record.flops}", f"{record.flops_remaining}"]
    return markdown(pd.DataFrame([*rows, total], columns=["layer", "weights", "remaining", "FLOPs", "FLOPs remaining"]))


def mean(values: Sequence[float | None], form: str = "{:.3f}") -> str:
    """Return the mean ± standard deviation (n - 1) of the values that are not None; '' without any."""
    known = [value for value in values if value is not None]
    return " ± ".join([form.format(f(known)) for f, least in ((fmean, 1), (stdev, 2)) if len(known) >= least])


def signed(mean: float, interval: tuple[float, float] | None, form: Callable[[float], str] = "{:+z.0f}".format) -> str:
    """Return a difference and, in brackets, its interval; z: no -0."""
    return f"{form(mean)} [{', '.join(map(form, interval))}]" if interval else form(mean)


def markdown(frame: pd.DataFrame) -> str:
    """Return a frame of strings as an aligned Markdown table; an empty cell is '-'."""
    cells = [list(frame.columns), *frame.replace("", "-").to_numpy().tolist()]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = ["| " + " | ".join(c.rjust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|", *lines[1:]])


def fitting(text: str, width: int) -> str:
    """Return a Markdown table without its last columns, as far as it is wider than ``width``."""
    rows = [line.strip("|").split("|") for line in text.splitlines()]
    while sum(len(cell) + 1 for cell in rows[0]) >= width and rows[0][-1].strip() != NEEDED:
        rows = [row[:-1] for row in rows]
    return "\n".join(f"|{'|'.join(row)}|" for row in rows)
