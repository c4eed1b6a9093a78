"""Tables of rounds, for people."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

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


def table(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a round; accuracies of the last epoch and of the best one stand apart."""
    rows = [[_cell(form, record.get(name)) for name, (_, form) in COLUMNS.items()] for record in records]
    return markdown(pd.DataFrame(rows, columns=[title for title, _ in COLUMNS.values()]))


def summary(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a recipe and round: mean ± standard deviation (n - 1) over the seeds, and their number n."""
    frame = pd.DataFrame(records)
    rows = []
    for (recipe, _, k), group in frame.groupby(["recipe", "step", "round"], sort=False):
        first = group.iloc[0]
        how = "dense" if k == 0 else f"{first['rate']:g} x {first['at_once']}" if first["at_once"] > 1 else f"{first['rate']:g}"
        means = [_mean(group[name], COLUMNS[name][1]) for name in MEANS]
        what = [recipe[:6], first["model"], first["finetune"], how, str(k)]
        rows.append([*what, f"{group['density'].mean():.2%}", str(group["seed"].nunique()), *means])
    titles = [
        "recipe",
        "model",
        "finetune",
        "pruned by",
        "round",
        "weights remaining",
        "n",
        *(COLUMNS[name][0] for name in MEANS),
    ]
    return markdown(pd.DataFrame(rows, columns=titles))


def layers(record: dict[str, Any]) -> str:
    """A Markdown table, one row a Conv or Linear layer: weights and FLOPs of one image, dense and remaining."""
    density, weights = record["layers"], record["layer_weights"]
    rows = []
    for name, flops in record["layer_flops"].items():
        kept = density.get(name, 1.0)
        count = f"{weights[name]}" if name in weights else "not pruned"
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
