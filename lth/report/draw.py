"""Pictures of plots, by matplotlib without pyplot: no state, no display."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from lth.report.plot import BLUES, PUOR, Heat, Line, Lines, Plot, pretty, ticks


def draw(plot: Plot) -> Figure:
    """Return the figure of a plot."""
    return _heat(plot) if isinstance(plot, Heat) else _lines(plot)


def saved(figure: Figure, form: str = "png") -> bytes:
    """Return a figure as PNG or SVG; equal figures are equal bytes. Letters that matplotlib's font lacks are boxes in it."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "lth"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


def gallery(images: np.ndarray, titles: Sequence[str], columns: int = 4) -> Figure:
    """Return images, uint8 (n, h, w, 1 or 3), in a grid with a title each."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.3 * rows), dpi=100, layout="constrained")
    for i, (image, title) in enumerate(zip(images, titles), start=1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.axis("off")
    return figure


def _lines(plot: Lines) -> Figure:
    """The lines that are shown at first, with a legend below."""
    height = 1.5 + 0.18 * len(plot.names) if plot.y_form == "names" else 4
    figure = Figure(figsize=(7, max(3, min(height, 14))), dpi=144, layout="constrained")
    axes = figure.add_subplot()
    for line in plot.lines:
        if line.shown:
            _line(axes, line)
    _axis(axes.xaxis, plot.x, plot.x_form, [x for line in plot.lines for x in line.x], plot.names)
    _axis(axes.yaxis, plot.y, plot.y_form, [y for line in plot.lines for y in line.y], plot.names)
    if plot.from_zero:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.set_title("\n".join(filter(None, [plot.title, plot.note])), fontsize=9, loc="left", parse_math=False, wrap=True)
    if plot.lines:
        _legend_below(figure)
    return figure


def _line(axes: Any, line: Line) -> None:
    y = np.array(line.y, dtype=float)  # NaN, which is not drawn, for None
    style = {"ls": line.dash or "none", "marker": line.marker or None, "color": line.colour, "ms": 4, "lw": 1.6}
    spread = None if line.spread is None else np.array(line.spread, dtype=float)
    if spread is None or line.spread_as == "band":
        axes.plot(line.x, y, label=line.label, **style)
        if spread is not None:
            axes.fill_between(line.x, y - spread, y + spread, color=line.colour, alpha=0.15, lw=0)
    else:
        axes.errorbar(line.x, y, label=line.label, capsize=2, **{f"{line.spread_as}err": spread}, **style)


def _axis(axis: Any, title: str, form: str, values: Sequence[float | None], names: Sequence[str]) -> None:
    axis.set_label_text(title)
    if chosen := ticks(form, values, names):
        if form != "names":
            getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
            axis.set_minor_formatter(NullFormatter())
        slanted = {"rotation": 40, "ha": "right"} if form == "names" and axis.axis_name == "x" else {}
        axis.set_ticks(*chosen, parse_math=False, fontsize=8, **slanted)
    elif form == "percent":
        axis.set_major_formatter(FuncFormatter(lambda value, _: pretty(value)))
    axis.set_inverted(form == "weights" or (form == "names" and axis.axis_name == "y"))


def _legend_below(figure: Figure) -> None:
    """Put a legend under the axes, where it covers no data, and make the figure higher by it."""
    labels = figure.axes[0].get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 50 else 1
    figure.set_figheight(figure.get_figheight() + 0.18 * -(-len(labels) // columns))
    legend = figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _heat(plot: Heat) -> Figure:
    """A heat map with its colour bar; the numbers of cells where there are at most 20 rows and columns."""
    rows, columns = plot.z.shape
    size = (3.4 + 0.07 * min(24, max(map(len, plot.rows))) + 0.55 * columns, 2.2 + 0.36 * rows)
    figure = Figure(figsize=np.minimum(size, 14), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    scale = LinearSegmentedColormap.from_list("heat", PUOR if plot.diverging else BLUES)
    image = axes.imshow(plot.z, cmap=scale, vmin=plot.ends[0], vmax=plot.ends[1], aspect="auto")
    for i, j in np.ndindex(rows, columns) if max(rows, columns) <= 20 else ():
        axes.text(j, i, plot.text[i][j], ha="center", va="center", fontsize=7, parse_math=False)
    _axis(axes.xaxis, plot.x, "names", [], plot.columns)
    _axis(axes.yaxis, plot.y, "names", [], plot.rows)
    axes.set_title(plot.title, fontsize=9, loc="left", parse_math=False, wrap=True)
    figure.colorbar(image, label=plot.unit, shrink=0.9)
    return figure
