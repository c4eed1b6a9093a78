"""Scores along chains of tickets, and of their controls, against weights remaining.

Colours are Okabe and Ito's, safe for colour-blind readers.
"""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lth.results import naming

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = {  # of a control: line, marker, and its colour where there is one chain
    "reinit": ("--", "s", "#D55E00"),
    "shuffle": (":", "^", "#009E73"),
    "random": ("-.", "D", "#CC79A7"),
    "order": ((0, (5, 1, 1, 1, 1, 1)), "v", "#E69F00"),
}


def figure(records: Sequence[dict[str, Any]], score: str, title: str, *, longer: bool = False) -> Figure:
    """One solid line a chain of tickets, one broken line a control, and the dense network as a horizontal.

    Args:
        score: the field of a record that is drawn.
        longer: whether dense networks of the same family but another number of epochs are drawn, too.
    """
    picture = Figure(figsize=(7, 4), dpi=144, layout="constrained")
    axes = picture.add_subplot()
    frame, extra = _frame(records)
    colours = cycle(COLOURS)
    alone = frame["recipe"].nunique() == 1
    several = len(frame.loc[frame["round"] > 0, ["recipe", "chain"]].drop_duplicates()) > 1
    for recipe, rows in frame.groupby("recipe", sort=False):
        first = rows.iloc[0]
        name = first["model"] if alone else f"{first['model']} {first['finetune']} ({recipe[:6]})"
        drawn = list(zip(_chains(rows), colours))
        for (chain, label), colour in drawn:
            _lines(axes, chain, score, colour, f"{name}, {label}", several)
        colour, prefix = ("0.4", "") if alone else (drawn[0][1] if drawn else next(colours), f"{name}, ")
        _horizontal(axes, rows[rows["round"] == 0], score, colour, "--", f"{prefix}dense network")
        others = extra[extra["family"] == first["family"]] if longer else extra[:0]
        for epochs, dense in others.groupby("epochs"):
            matched = "compute-matched " if epochs >= (rows["epochs"] * (rows["round"] + 1)).max() else ""
            _horizontal(axes, dense, score, colour, (0, (1, 2)), f"{prefix}{matched}dense network of {epochs:.0f} epochs")
    _weights_axis(axes, frame["density"])
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    if axes.collections:
        axes.set_title("bands: one standard deviation over seeds", fontsize=8, loc="right")
    legend_below(picture)
    return picture


def legend_below(picture: Figure) -> None:
    """A legend under the axes, where it covers no data; the figure grows by its height."""
    labels = picture.axes[0].get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 50 else 1
    picture.set_figheight(picture.get_figheight() + 0.18 * -(-len(labels) // columns))
    picture.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3.2)


def _frame(records: Sequence[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records to draw lines of; and the dense networks of a family whose chains have another number of epochs."""
    chain = naming.chains(records)
    rows = []
    for record in records:
        names = {"control": naming.control(record), "family": naming.family(record), "chain": chain.get(record["step"], "")}
        pace = naming.pace(record) if record["round"] else ""
        rows.append({**record, **names, "pace": pace, "epochs": record.get("epochs") or float("nan")})
    frame = pd.DataFrame(rows)
    pruned = frame[frame["round"] > 0]
    extra = ~frame["recipe"].isin(pruned["recipe"]) & frame["family"].isin(pruned["family"])
    return frame[~extra], frame[extra]


def _chains(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, str]]:
    """The chains of a recipe, each with its dense networks if it begins there, and a label that no other one has."""
    start, used = rows[rows["round"] == 0], set()
    for _, chain in rows[rows["round"] > 0].groupby("chain", sort=False):
        first = chain.sort_values("control").iloc[0]
        label = f"{first['pace']} ({first['step'][:6]})" if first["pace"] in used else first["pace"]
        used.add(label)
        own = start[start["seed"].isin(chain["seed"])]
        yield (pd.concat([own, chain]) if first["at_once"] == 1 else chain), label


def _lines(axes: Any, chain: pd.DataFrame, score: str, colour: str, label: str, several: bool) -> None:
    tickets = chain[chain["control"] == ""]
    if (tickets["round"] > 0).any():
        _line(axes, tickets, score, label, color=colour, marker="o")
    for control, rows in chain[chain["control"] != ""].groupby("control", sort=False):
        line, marker, own = STYLES.get(control, ("--", "x", "#56B4E9"))
        name = naming.CONTROLS.get(control, control)
        style = {"ls": line, "marker": marker, "color": colour if several else own}
        _line(axes, rows, score, f"{label}, {name}" if several else name, **style)


def _line(axes: Any, rows: pd.DataFrame, score: str, label: str, **style: Any) -> None:
    points = rows.groupby(rows["density"].round(6)).agg(y=(score, "mean"), sd=(score, "std"), n=("seed", "nunique"))
    points = points.sort_index(ascending=False)
    n = int(points["n"].max())
    axes.plot(points.index, points["y"], ms=4, lw=1.6, label=label + (f" (n = {n} seeds)" if n > 1 else ""), **style)
    if n > 1:
        sd = points["sd"].fillna(0)
        axes.fill_between(points.index, points["y"] - sd, points["y"] + sd, color=style["color"], alpha=0.15, lw=0)


def _horizontal(axes: Any, dense: pd.DataFrame, score: str, colour: str, line: Any, label: str) -> None:
    if len(dense):
        mean = dense[score].mean()
        value = percent(mean) if score.endswith("acc") else f"{mean:.0f}"
        axes.axhline(mean, color=colour, ls=line, lw=1.2, label=f"{label}, {value}", zorder=1)


def percent(fraction: float) -> str:
    """A fraction in percent, to one decimal at most."""
    return f"{round(100 * fraction, 1):g}%"


def _weights_axis(axes: Any, densities: pd.Series) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    steps = (1, 2, 5) if densities.min() < 0.05 else (1, 2, 3, 5, 7)
    ticks = [m * 10.0**e for e in range(-6, 1) for m in steps if densities.min() * 0.9 <= m * 10.0**e <= 1]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("weights remaining")
