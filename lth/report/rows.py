"""The table of results: one row a recipe, step, round and control, in the columns of the study that lth grew out of."""

from collections.abc import Sequence
from statistics import fmean, stdev

from lth.analysis import ends, naming, pairs
from lth.report.read import Record

RATE = 0.001  # of a recipe that does not say: what is at its default is not part of a key
RUNNING = "train accuracy (running)"


def titles(accuracy: str) -> list[str]:
    """The columns; ``accuracy``: the end point, one of ``ends.ENDS``, that stands first; the others beside it."""
    others = [ends.title(field) for field in ends.ENDS if field != accuracy]
    own = [f"valid accuracy {ends.ENDS[accuracy].said}", ends.title(accuracy)]
    return ["implementation", "learning rate", *own, "weights remaining", "n", *others, RUNNING, "early stops not seen"]


def rows(records: Sequence[Record], accuracy: str = ends.EARLY_STOP) -> list[list[str]]:
    """Cells under ``titles``: mean ± standard deviation (n - 1) over the n seeds."""
    rates = {r["recipe"]: _rate(r) for r in records if r["round"] == 0}
    names = naming.headings(records)
    return [_row(list(arm.values()), accuracy, rates, names) for arm in pairs.arms(records).values()]


def _rate(record: Record) -> float | None:
    told = record["determined_by"]
    return (told.get("optim") or {}).get("lr", RATE) if isinstance(told, dict) else None


def _row(arm: list[Record], accuracy: str, rates: dict[str, float | None], names: dict[tuple[str, str], str]) -> list[str]:
    first, lr = arm[0], rates.get(arm[0]["recipe"])
    control = naming.CONTROLS.get(naming.control(first), naming.control(first))
    name = ", ".join(filter(None, [names[first["recipe"], first["step"]], control]))
    others = [field for field in ends.ENDS if field != accuracy]
    mean = {field: _mean([r[field] for r in arm]) for field in (ends.ENDS[accuracy].val, *ends.ENDS, "train_acc")}
    cells = [name, "-" if lr is None else f"{lr:g}", mean[ends.ENDS[accuracy].val], mean[accuracy]]
    cells += [f"{first['density']:.2%}", str(len(arm)), *(mean[field] for field in others), mean["train_acc"]]
    return [*cells, f"{ends.censored(arm)} of {len(arm)}"]


def _mean(values: list[float]) -> str:
    return f"{fmean(values):.3f}" + (f" ± {stdev(values):.3f}" if len(values) > 1 else "")
