"""Pictures of plots, by matplotlib without pyplot: no state, no display."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lth.report.plot import BLUES, PUOR, Heat, Line, Lines, Plot, brief, log_ticks, pretty, weight_ticks


def draw(plot: Plot) -> Figure:
    """The figure of a plot."""
    return heat(plot) if isinstance(plot, Heat) else lines(plot)


def lines(plot: Lines) -> Figure:
    """The lines that are shown at first, with markers and bands, a legend below."""
    picture = Figure(figsize=(7, 4), dpi=144, layout="constrained")
    axes = picture.add_subplot()
    for line in plot.lines:
        if line.shown:
            _line(axes, line)
    _axis(axes, plot)
    axes.grid(alpha=0.25)
    axes.set_title("\n".join(filter(None, [plot.title, plot.note])), fontsize=9, loc="left", parse_math=False, wrap=True)
    if plot.lines:
        legend_below(picture)
    return picture


def _line(axes: Any, line: Line) -> None:
    if line.level:
        axes.axhline(line.y[0], color=line.colour, ls=line.dash, lw=1.2, label=line.label, zorder=1)
        return
    y = _numbers(line.y)
    style = {"ls": line.dash or "none", "marker": line.marker or None, "color": line.colour}
    axes.plot(line.x, y, ms=4, lw=1.6, label=line.label, **style)
    if line.band is not None:
        half = _numbers(line.band)
        axes.fill_between(line.x, y - half, y + half, color=line.colour, alpha=0.15, lw=0)


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    """NaN, which is not drawn, for None."""
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def _axis(axes: Any, plot: Lines) -> None:
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    if plot.x_form == "weights":
        _weights(axes, [x for line in plot.lines if not line.level for x in line.x] or [1.0])
    elif plot.x_form == "category":
        names = [brief(name) for name in dict.fromkeys(x for line in plot.lines for x in line.x)]
        slanted = {"rotation": 40, "ha": "right", "fontsize": 8} if max(map(len, names), default=0) > 4 else {}
        axes.set_xticks(range(len(names)), names, parse_math=False, **slanted)
    elif plot.x_form != "number":
        _form(axes, "x", plot.x_form, [x for line in plot.lines for x in line.x])
    if plot.y_form != "number":
        _form(axes, "y", plot.y_form, [y for line in plot.lines for y in line.y])
    if plot.from_zero:
        axes.set_ylim(bottom=0)


def _form(axes: Any, which: str, form: str, values: list[float | None]) -> None:
    axis = getattr(axes, f"{which}axis")
    if form == "log" and (ticks := log_ticks(values)):
        getattr(axes, f"set_{which}scale")("log")
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_minor_formatter(NullFormatter())
    elif form == "percent":
        axis.set_major_formatter(FuncFormatter(lambda value, _: pretty(value)))


def _weights(axes: Any, densities: list[float]) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.set_xticks(weight_ticks(densities))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.3g}%"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend_below(picture: Figure) -> None:
    """A legend under the axes, where it covers no data; the figure grows by its height."""
    labels = picture.axes[0].get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 50 else 1
    picture.set_figheight(picture.get_figheight() + 0.18 * -(-len(labels) // columns))
    legend = picture.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def heat(plot: Heat) -> Figure:
    """A heat map with its colour bar; the cells' texts where there are at most 20 rows and columns."""
    rows, columns = len(plot.rows), len(plot.columns)
    names, above = [brief(name) for name in plot.rows], [brief(name) for name in plot.columns]
    longest = max(map(len, names), default=0)
    size = (min(14, 2.6 + 0.07 * longest + 0.55 * columns), min(14, 2.2 + 0.36 * rows))
    picture = Figure(figsize=size, dpi=110, layout="constrained")
    axes = picture.add_subplot()
    z = np.stack([_numbers(row) for row in plot.z])
    scale = LinearSegmentedColormap.from_list("heat", PUOR if plot.diverging else BLUES)
    image = axes.imshow(z, cmap=scale, vmin=plot.ends[0], vmax=plot.ends[1], aspect="auto")
    if plot.text and max(rows, columns) <= 20:
        for i, j in np.ndindex(z.shape):
            axes.text(j, i, plot.text[i][j], ha="center", va="center", fontsize=7, color="black", parse_math=False)
    slanted = {"rotation": 40, "ha": "right"} if max(map(len, above), default=0) > 4 else {}
    axes.set_xticks(range(columns), above, fontsize=8, parse_math=False, **slanted)
    axes.set_yticks(range(rows), names, fontsize=8, parse_math=False)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    axes.set_title(plot.title, fontsize=10, loc="left", parse_math=False, wrap=True)
    picture.colorbar(image, label=plot.unit, shrink=0.9)
    return picture
