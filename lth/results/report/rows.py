"""The table of results: one row a recipe, step, round and control, in the columns of the study that lth grew out of."""

import csv
import io
from collections.abc import Sequence
from statistics import fmean, stdev

from lth.results import naming, pairs
from lth.results.report.read import Record

TITLES = (
    "implementation", "learning rate", "train accuracy", "valid accuracy", "test accuracy", "weights remaining", "n",
)  # fmt: skip
RATE = 0.001  # of a recipe that does not say: what is at its default is not part of a key
FIELDS = (
    "key", "parent", "name", "data", "model", "finetune", "seed", "round", "control", "at_once", "rate", "criterion",
    "allocation", "rewind", "retrain", "epochs", "density", "kept", "prunable", "model_density", "train_acc", "val_acc",
    "test_acc",
    "best_test_acc", "early_stop_iteration", "flops", "flops_remaining", "parameters", "seconds",
    "recipe", "step", "command",
)  # fmt: skip


def rows(records: Sequence[Record]) -> list[list[str]]:
    """Cells under TITLES: accuracies of the last epoch, mean ± standard deviation (n - 1) over the n seeds."""
    rates = {r["recipe"]: _rate(r) for r in records if r["round"] == 0}
    differs = naming.recipes(records)
    return [_row(list(arm.values()), rates, differs) for arm in pairs.arms(records).values()]


def _rate(record: Record) -> float | None:
    told = record["determined_by"]
    return (told.get("optim") or {}).get("lr", RATE) if isinstance(told, dict) else None


def _row(arm: list[Record], rates: dict[str, float | None], differs: dict[str, str]) -> list[str]:
    first, lr = arm[0], rates.get(arm[0]["recipe"])
    control = naming.CONTROLS.get(naming.control(first), naming.control(first))
    parts = [first["model"], f"{first['finetune']} on {first['data']}", *([naming.pace(first)] if first["round"] else ["dense"])]
    name = ", ".join(filter(None, [*parts, control, differs[first["recipe"]]]))
    scores = (_mean([r[field] for r in arm]) for field in ("train_acc", "val_acc", "test_acc"))
    return [name, "-" if lr is None else f"{lr:g}", *scores, f"{first['density']:.2%}", str(len(arm))]


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")


def comma_separated(records: Sequence[Record]) -> str:
    """results.csv: a row a round, fractions from 0 to 1, seconds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
