"""Plots as plotly.js reads them: plain JSON. Plotly takes some of HTML in its texts, so all of ours is escaped."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from lth.report.plot import BLUES, Axis, Heat, Line, Lines, Plot, brief

DASHES = {"": "solid", "-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
SYMBOLS = {"": "circle", "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "x": "x"}
HOVER = {"percent": ":.2%", "weights": ":.2%"}  # how a form prints a coordinate


def spec(plot: Plot) -> dict[str, Any]:
    """Return ``data`` and ``layout`` for plotly; a trace's name is its label."""
    if isinstance(plot, Heat):
        return {"data": [_heat(plot)], "layout": {"xaxis": _axis(plot.x), "yaxis": _axis(plot.y) | {"autorange": "reversed"}}}
    across = _axis(plot.x, [x for line in plot.lines for x in line.x])
    up = _axis(plot.y, [y for line in plot.lines for y in line.y])
    if plot.y.form == "names":
        up["range"] = [-0.6, len(plot.y.names) - 0.4]
    return {"data": [_trace(line, plot) for line in plot.lines], "layout": {"xaxis": across, "yaxis": up}}


def _trace(line: Line, plot: Lines) -> dict[str, Any]:
    hover = [f"<b>{escape(line.label).replace('%{', '% {')}</b>"]  # plotly fills in a %{...}
    if not line.width:
        hover.append(f"{escape(plot.y.title)}: %{{y{HOVER.get(plot.y.form, ':.4~g')}}}")
    if not line.width and plot.x.form != "names":  # the notes say which name it is
        hover.append(f"{escape(plot.x.title)}: %{{x{HOVER.get(plot.x.form, ':.4~g')}}}")
    hover += ["%{customdata}"] * bool(line.notes)
    return {
        "type": "scatter", "x": line.x, "y": line.y, "name": line.label, "visible": True,
        "mode": "+".join(["lines"] * bool(line.dash) + ["markers"] * bool(line.marker)),
        "line": {"color": line.colour, "width": 4 / 3 * line.width or 2, "dash": DASHES[line.dash]},
        "marker": {"color": line.colour, "size": 7 if line.dash else 9, "symbol": SYMBOLS[line.marker]},
        "error_y": {"type": "data", "array": line.spread, "color": line.colour, "thickness": 1, "width": 3},
        "hovertemplate": "<br>".join(hover) + "<extra></extra>",
        "customdata": [escape(note).replace("\n", "<br>") for note in line.notes],
    }  # fmt: skip


def _heat(plot: Heat) -> dict[str, Any]:
    what = f"{escape(plot.y.title)} / {escape(plot.x.title)}"
    trace = {
        "type": "heatmap", "z": plot.z, "xgap": 1, "ygap": 1, "zmin": 0, "zmax": 100,
        "colorscale": list(zip(np.linspace(0, 1, len(BLUES)), BLUES)),
        "colorbar": {"title": {"text": escape(plot.unit), "side": "right"}, "thickness": 12},
        "customdata": [[escape(f"{brief(row)} / {brief(column)}") for column in plot.x.names] for row in plot.y.names],
        "hovertemplate": f"{what}:<br><b>%{{customdata}}</b><br>{escape(plot.unit)}: %{{z:.4~g}}<extra></extra>",
    }  # fmt: skip
    if max(plot.z.shape) <= 12:
        trace |= {"texttemplate": "%{z:.1f}", "textfont": {"color": "#000000"}}
    return trace


def _axis(axis: Axis, values: Sequence[float] = ()) -> dict[str, Any]:
    layout: dict[str, Any] = {"title": {"text": escape(axis.title)}}
    if axis.form == "percent":
        layout |= {"tickformat": ".4~p", "minallowed": 0, "maxallowed": 1}
    if axis.form == "weights":
        layout["autorange"] = "reversed"
    if ticks := axis.ticks(values):
        layout |= {"tickvals": list(ticks), "ticktext": [escape(text) for text in ticks.values()]}
        layout["type"] = "linear" if axis.form == "names" else "log"
    return layout
