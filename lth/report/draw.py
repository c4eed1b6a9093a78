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

from lth.report.plot import BLUES, PUOR, Axis, Heat, Line, Lines, Plot, axis, pretty


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
    _axis(axes, "x", plot.x, plot.x_form, axis(plot.x_form, [x for line in plot.lines for x in line.x], plot.names))
    _axis(axes, "y", plot.y, plot.y_form, axis(plot.y_form, [y for line in plot.lines for y in line.y], plot.names))
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


def _axis(axes: Any, which: str, title: str, form: str, ticks: Axis) -> None:
    own = getattr(axes, f"{which}axis")
    own.set_label_text(title)
    if ticks.log:
        getattr(axes, f"set_{which}scale")("log")
        own.set_minor_formatter(NullFormatter())
    if ticks.at is not None:
        slanted = {"rotation": 40, "ha": "right", "fontsize": 8} if _slanted(which, form, ticks) else {}
        own.set_ticks(ticks.at, ticks.texts, parse_math=False, **slanted)
    elif form == "percent":
        own.set_major_formatter(FuncFormatter(lambda value, _: pretty(value)))
    if form == "weights" or (form == "names" and which == "y"):
        own.set_inverted(True)


def _slanted(which: str, form: str, ticks: Axis) -> bool:
    return which == "x" and form == "names" and max(map(len, ticks.texts), default=0) > 4


def _legend_below(figure: Figure) -> None:
    """Put a legend under the axes, where it covers no data, and make the figure higher by it."""
    labels = figure.axes[0].get_legend_handles_labels()[1]
    columns = 2 if len(labels) > 1 and max(map(len, labels)) <= 50 else 1
    figure.set_figheight(figure.get_figheight() + 0.18 * -(-len(labels) // columns))
    legend = figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=8, handlelength=3.2)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _heat(plot: Heat) -> Figure:
    """A heat map with its colour bar; the texts of cells where there are at most 20 rows and columns."""
    down, across = axis("names", [], plot.rows), axis("names", [], plot.columns)
    size = (3.4 + 0.07 * max(map(len, down.texts), default=0) + 0.55 * len(plot.columns), 2.2 + 0.36 * len(plot.rows))
    figure = Figure(figsize=np.minimum(size, 14), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    z = np.array(plot.z, dtype=float)
    scale = LinearSegmentedColormap.from_list("heat", PUOR if plot.diverging else BLUES)
    image = axes.imshow(z, cmap=scale, vmin=plot.ends[0], vmax=plot.ends[1], aspect="auto")
    if plot.text and max(z.shape) <= 20:
        for i, j in np.ndindex(z.shape):
            axes.text(j, i, plot.text[i][j], ha="center", va="center", fontsize=7, color="black", parse_math=False)
    _axis(axes, "x", plot.x, "names", across)
    _axis(axes, "y", plot.y, "names", down)
    axes.set_title(plot.title, fontsize=10, loc="left", parse_math=False, wrap=True)
    figure.colorbar(image, label=plot.unit, shrink=0.9)
    return figure
