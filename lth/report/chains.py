"""Scores along chains of tickets, and of their controls, against weights remaining.

Colours are Okabe and Ito's, safe for colour-blind readers.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import pandas as pd

from lth.analysis import ends, naming, pairs
from lth.report.plot import COLOURS, Line, Lines, pretty

WEIGHTS = "weights remaining, % of the prunable"  # title of an axis
DENSE = (0, (8, 3))  # dashes, as no control has them
STYLES = {  # of a control: line, marker, and its colour where there is one chain
    "reinit": ("--", "s", "#D55E00"),
    "shuffle": (":", "^", "#009E73"),
    "random": ("-.", "D", "#CC79A7"),
    "order": ((0, (5, 1, 1, 1, 1, 1)), "v", "#E69F00"),
}


def accuracy(records: Sequence[dict[str, Any]], title: str = "", accuracy: str = ends.EARLY_STOP) -> Lines:
    """Test accuracy at an end point (of ``ends.ENDS``) against weights remaining: one line a chain of tickets, one a control."""
    lines, note = _plot(records, accuracy, longer=True)
    what = ends.title(accuracy)
    return Lines(named(title, what, records), WEIGHTS, what, lines, "weights", "percent", note=note)


def early_stop(records: Sequence[dict[str, Any]], title: str = "") -> Lines:
    """The iteration of least validation loss against weights remaining; dense networks of more epochs are left out."""
    lines, note = _plot(records, "early_stop_iteration", longer=False)
    late = ends.censored(records)
    note = "; ".join(filter(None, [note, f"{late} of {len(records)} rounds stopped at the last iteration" * bool(late)]))
    return Lines(
        named(title, "iteration of early stop", records),
        WEIGHTS,
        "early-stop iteration (optimiser steps)",
        lines,
        "weights",
        from_zero=True,
        note=note,
    )


def named(title: str, what: str, records: Sequence[dict[str, Any]]) -> str:
    """A figure's title: what it is of, what is drawn and over how many seeds."""
    over = ends.seeds([len(arm) for arm in pairs.arms(records).values()])
    return f"{title}: {what}, {over}" if title else f"{what}, {over}"


def _plot(records: Sequence[dict[str, Any]], score: str, *, longer: bool) -> tuple[list[Line], str]:
    """One solid line a chain of tickets, one broken line a control, and the dense network as a horizontal.

    Args:
        score: the field of a record that is drawn.
        longer: whether dense networks of the same family but another number of epochs are drawn, too.
    """
    frame, extra = _frame(records)
    colours, found = cycle(COLOURS), []
    alone = frame["recipe"].nunique() == 1
    several = len(frame.loc[frame["round"] > 0, ["recipe", "chain"]].drop_duplicates()) > 1
    told, data = naming.recipes(records), len({record["data"] for record in records}) > 1
    for recipe, rows in frame.groupby("recipe", sort=False):
        first = rows.iloc[0]
        network = f"{first['model']} {first['finetune']}" + f" on {first['data']}" * data
        name = first["model"] if alone else ", ".join(filter(None, [network, told[recipe]]))
        drawn = list(zip(_chains(rows), colours))
        for (chain, label), colour in drawn:
            found += _lines(chain, score, colour, f"{name}, {label}", several)
        colour, prefix = ("#666666", "") if alone else (drawn[0][1] if drawn else next(colours), f"{name}, ")
        found += _horizontal(rows[(rows["round"] == 0) & (rows["control"] == "")], score, colour, DENSE, f"{prefix}dense network")
        others = extra[extra["family"] == first["family"]] if longer else extra[:0]
        for epochs, dense in others.groupby("epochs"):
            matched = "compute-matched " if epochs >= (rows["epochs"] * (rows["round"] + 1)).max() else ""
            found += _horizontal(dense, score, colour, (0, (1, 2)), f"{prefix}{matched}dense network of {epochs:.0f} epochs")
    return found, "bands: one standard deviation over seeds" if any(line.band is not None for line in found) else ""


def _frame(records: Sequence[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records to draw lines of; and the dense networks of a family whose chains have another number of epochs."""
    chain, paces = naming.chains(records), naming.paces(records)
    rows = []
    for record in records:
        names = {"control": naming.control(record), "family": naming.family(record), "chain": chain.get(record["step"], "")}
        rows.append({**record, **names, "pace": paces.get(record["step"], ""), "epochs": record.get("epochs") or float("nan")})
    frame = pd.DataFrame(rows)
    pruned = frame[frame["round"] > 0]
    extra = ~frame["recipe"].isin(pruned["recipe"]) & frame["family"].isin(pruned["family"])
    return frame[~extra], frame[extra]


def _chains(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, str]]:
    """The chains of a recipe, each with its dense networks if it begins there, and a label that no other one has."""
    start = rows[rows["round"] == 0]
    for _, chain in rows[rows["round"] > 0].groupby("chain", sort=False):
        first = chain.sort_values("control").iloc[0]
        own = start[start["seed"].isin(chain["seed"])]
        yield (pd.concat([own, chain]) if first["levels"] == 1 else chain), first["pace"]


def _lines(chain: pd.DataFrame, score: str, colour: str, label: str, several: bool) -> list[Line]:
    tickets, found = chain[chain["control"] == ""], []
    if (tickets["round"] > 0).any():
        found.append(_line(tickets, score, label, colour=colour, marker="o"))
    for control, rows in chain[chain["control"] != ""].groupby("control", sort=False):
        dash, marker, own = STYLES.get(control, ("--", "x", "#56B4E9"))
        name = naming.CONTROLS.get(control, control)
        style = {"dash": dash, "marker": marker, "colour": colour if several else own}
        found.append(_line(rows, score, f"{label}, {name}" if several else name, **style))
    return found


def _line(rows: pd.DataFrame, score: str, label: str, **style: Any) -> Line:
    points = rows.groupby(rows["density"].round(6)).agg(y=(score, "mean"), sd=(score, "std"), n=("seed", "nunique"))
    points = points.sort_index(ascending=False)
    least, most = int(points["n"].min()), int(points["n"].max())
    band = [None if pd.isna(sd) else sd for sd in points["sd"]] if most > 1 else None  # a single seed has no deviation
    notes = [f"± {sd:.2g}, {count} seeds" if count > 1 else "1 seed" for sd, count in zip(points["sd"], points["n"])]
    label += f" (n = {f'{least} to {most}' if least < most else most} seeds)" if most > 1 else ""
    return Line(label, points.index.tolist(), points["y"].tolist(), band=band, notes=notes, **style)


def _horizontal(dense: pd.DataFrame, score: str, colour: str, dash: Any, label: str) -> list[Line]:
    if not len(dense):
        return []
    mean = float(dense[score].mean())
    value = pretty(mean) if score.endswith("acc") else f"{mean:.0f}"
    return [Line(f"{label}, {value}", [], [mean], colour, dash, level=True)]
