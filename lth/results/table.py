"""Tables of rounds, for people."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

COLUMNS = {
    "seed": ("seed", "{}"),
    "round": ("round", "{}"),
    "density": ("weights remaining", "{:.2%}"),
    "train_acc": ("train acc", "{:.3f}"),
    "val_acc": ("val acc", "{:.3f}"),
    "test_acc": ("test acc", "{:.3f}"),
    "best_test_acc": ("test acc at best val", "{:.3f}"),
    "early_stop_iteration": ("early-stop iteration", "{}"),
    "seconds": ("seconds", "{:.1f}"),
}


def table(records: Sequence[dict[str, Any]]) -> str:
    """A Markdown table, one row a round; accuracies of the last epoch and of the best one stand apart."""
    rows = [[form.format(record[name]) for name, (_, form) in COLUMNS.items()] for record in records]
    return markdown(pd.DataFrame(rows, columns=[title for title, _ in COLUMNS.values()]))


def markdown(frame: pd.DataFrame) -> str:
    """A frame of strings as an aligned Markdown table."""
    cells = [list(frame.columns), *frame.to_numpy().tolist()]
    widths = [max(len(str(row[i])) for row in cells) for i in range(len(frame.columns))]
    lines = ["| " + " | ".join(str(c).rjust(w) for c, w in zip(row, widths)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 1) + ":" for w in widths) + "|", *lines[1:]])
