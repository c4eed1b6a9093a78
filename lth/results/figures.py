"""Figures of rounds. Colours are Okabe and Ito's, safe for colour-blind readers."""

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def accuracy(records: Sequence[dict[str, Any]], title: str = "") -> Figure:
    """Test accuracy of the last epoch against weights remaining (log axis, dense at the left).

    One line a recipe: the mean over seeds, with a band of one standard deviation. The dense network is a dashed line.
    """
    figure = Figure(figsize=(7, 4.2), dpi=144, layout="constrained")
    axes = figure.add_subplot()
    frame = pd.DataFrame(records)
    colours = cycle(COLOURS)
    alone = frame["recipe"].nunique() == 1
    for recipe, rows in frame.groupby("recipe", sort=False):
        name = rows.iloc[0]["model"] if alone else f"{rows.iloc[0]['model']} {rows.iloc[0]['finetune']} ({recipe[:6]})"
        start = rows[rows["round"] == 0]
        iterated = rows[(rows["round"] > 0) & (rows["at_once"] == 1)]
        for _, chain in iterated.groupby("step", sort=False):
            own = start[start["seed"].isin(chain["seed"])]
            _line(axes, pd.concat([own, chain]), next(colours), f"{name}, {chain.iloc[0]['rate']:.0%} a round")
        for rate, at_once in rows[rows["at_once"] > 1].groupby("rate", sort=False):
            _line(axes, at_once, next(colours), f"{name}, one shot to rounds of {rate:.0%}")
        _dense(axes, start["test_acc"].mean(), "0.4" if alone else next(colours), "" if alone else f"{name}, ")
    _weights_axis(axes, frame["density"])
    axes.set_ylabel("test accuracy, last epoch")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _percent(y)))
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, fontsize=10, loc="left")
    return figure


def _dense(axes: Any, accuracy: float, colour: str, name: str) -> None:
    axes.axhline(accuracy, color=colour, ls="--", lw=1, label=f"{name}dense network, {_percent(accuracy)}", zorder=1)


def _percent(fraction: float) -> str:
    return f"{round(100 * fraction, 1):g}%"


def _line(axes: Any, rows: pd.DataFrame, colour: str, label: str) -> None:
    points = rows.groupby(rows["density"].round(6)).agg(y=("test_acc", "mean"), sd=("test_acc", "std"), n=("seed", "nunique"))
    points = points.sort_index(ascending=False)
    n = int(points["n"].max())
    axes.plot(points.index, points["y"], "o-", ms=4, lw=1.6, color=colour, label=label + (f" (n = {n} seeds)" if n > 1 else ""))
    if n > 1:
        sd = points["sd"].fillna(0)
        axes.fill_between(points.index, points["y"] - sd, points["y"] + sd, color=colour, alpha=0.18, lw=0)


def _weights_axis(axes: Any, densities: pd.Series) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    ticks = [m * 10.0**e for e in range(-6, 1) for m in (1, 2, 5) if densities.min() * 0.9 <= m * 10.0**e <= 1]
    axes.set_xticks(ticks)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("weights remaining")


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """The confusion matrix, counts (truth, given), coloured by the fraction of each true class."""
    side = 2.2 + 0.5 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 20:
        for i, j in np.ndindex(matrix.shape):
            axes.text(
                j, i, f"{matrix[i, j]}", ha="center", va="center", fontsize=9, color="white" if share[i, j] > 0.5 else "black"
            )
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", parse_math=False)
    axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set_xlabel("given")
    axes.set_ylabel("truth")
    figure.colorbar(picture, label="fraction of the true class", shrink=0.8)
    return figure


def gallery(images: np.ndarray, titles: Sequence[str], columns: int = 4) -> Figure:
    """Images uint8 (n, h, w, 1 or 3) in a grid with a title each."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.3 * rows), dpi=100, layout="constrained")
    for i, (image, title) in enumerate(zip(images, titles), start=1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.axis("off")
    return figure
