"""Pictures of plots, by matplotlib without pyplot: no state, no display."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter

from lth.report.plot import BLUES, Axis, Heat, Lines, Plot

STYLE = {
    "text.parse_math": False,  # a name may hold a $
    "svg.hashsalt": "lth",  # equal figures are equal bytes
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.fontsize": 8,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "errorbar.capsize": 2,
}


@matplotlib.rc_context(STYLE)
def draw(plot: Plot) -> Figure:
    """Return the figure of a plot."""
    return _heat(plot) if isinstance(plot, Heat) else _lines(plot)


@matplotlib.rc_context(STYLE)
def saved(figure: Figure, form: str = "png") -> bytes:
    """Return a figure as PNG or SVG. Letters that matplotlib's font lacks are boxes in it."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()


@matplotlib.rc_context(STYLE)
def gallery(images: np.ndarray, titles: Sequence[str], columns: int = 4) -> Figure:
    """Return images, uint8 (n, size, size, 1 or 3), in a grid with a title each; small ones are enlarged."""
    images = images.repeat(zoom := max(1, 160 // images.shape[1]), axis=1).repeat(zoom, axis=2)
    rows, width, height = -(-len(images) // columns), images.shape[2] + 30, images.shape[1] + 60  # pixels, with margins
    figure = Figure(figsize=(width * columns / 100, height * rows / 100), dpi=100)
    for i, (image, title) in enumerate(zip(images, titles)):
        x, y = i % columns * width + 15, (rows - 1 - i // columns) * height + 10
        figure.figimage(image.squeeze(), x, y, cmap="gray", vmin=0, vmax=255)  # axes would take most of the time
        figure.text((x + width / 2 - 15) / columns / width, (y + height - 55) / rows / height, title, ha="center", va="bottom")
    return figure


def _lines(plot: Lines) -> Figure:
    """Lines with a legend below, where it covers no data."""
    columns = 2 if max(len(line.label) for line in plot.lines) <= 50 else 1
    height = min(max(0.25 * len(plot.y.names), 1.6 if plot.y.names else 3), 8)  # inches
    figure = Figure(figsize=(7, 1 + height + 0.18 * len(plot.lines) / columns), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    for line in plot.lines:
        style = {"label": line.label, "ls": line.dash or "none", "marker": line.marker or None, "color": line.colour}
        style |= {"lw": line.width, "solid_capstyle": "butt"} if line.width else {}
        axes.errorbar(line.x, line.y, line.spread if len(line.spread) else None, elinewidth=0.8, **style)
    _axis(axes.xaxis, plot.x, [x for line in plot.lines for x in line.x])
    _axis(axes.yaxis, plot.y, [y for line in plot.lines for y in line.y])
    if plot.y.form == "names":
        axes.set_ylim(-0.6, len(plot.y.names) - 0.4)
    axes.grid(alpha=0.3)
    axes.set_title("\n".join(filter(None, [plot.title, plot.note])), wrap=True)
    for handle in figure.legend(loc="outside lower center", ncols=columns).get_lines():
        handle.set_linewidth(min(handle.get_linewidth(), 5))
    return figure


def _axis(axis: Any, of: Axis, values: Sequence[float] = ()) -> None:
    axis.set_label_text(of.title)
    if ticks := of.ticks(values):
        if of.form != "names":
            getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
            axis.set_minor_formatter(NullFormatter())
        slanted = {"rotation": 40, "ha": "right"} if of.form == "names" and axis.axis_name == "x" else {}
        axis.set_ticks(list(ticks), list(ticks.values()), fontsize=8, **slanted)
    elif of.form == "percent":
        axis.set_major_formatter(PercentFormatter(1))
    if of.form == "weights":
        axis.set_inverted(True)


def _heat(plot: Heat) -> Figure:
    """A heat map with its colour bar; the numbers of cells where there are at most 20 rows and columns."""
    rows, columns = plot.z.shape
    size = np.minimum((4.5 + 0.55 * columns, 2.2 + 0.36 * rows), 14)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    axes = figure.add_subplot()
    scale = LinearSegmentedColormap.from_list("heat", BLUES)
    image = axes.imshow(plot.z, cmap=scale, vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(plot.z) if max(rows, columns) <= 20 else ():
        axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7).set_in_layout(False)  # measuring takes long
    _axis(axes.xaxis, plot.x)
    _axis(axes.yaxis, plot.y)
    axes.set_title(plot.title, wrap=True)
    figure.colorbar(image, label=plot.unit, shrink=0.9)
    return figure
