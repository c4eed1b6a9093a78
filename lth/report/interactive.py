"""Plots as plotly.js reads them: plain JSON. Plotly takes some of HTML in its texts, so all of ours is escaped."""

import json
from html import escape
from itertools import chain, groupby
from typing import Any

import numpy as np

from lth.report.chains import DENSE
from lth.report.plot import BLUES, PUOR, Heat, Line, Lines, Plot, brief, log_ticks, weight_ticks

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot", DENSE: "longdash"}
SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "x": "x-thin"}
INK = "#000000"  # black lines take the colour of the page's text


def spec(plot: Plot) -> dict[str, Any]:
    """``data`` and ``layout`` for plotly, and ``series``: each line's label, colour, dash, traces and whether it is shown."""
    return _heat(plot) if isinstance(plot, Heat) else _lines(plot)


def dumps(value: Any) -> str:
    """JSON that may stand inside a <script>: without '<', and with null for numbers that are none."""
    return json.dumps(_plain(value), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(v) for name, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _lines(plot: Lines) -> dict[str, Any]:
    traces, series = [], []
    ends = [x for line in plot.lines for x in line.x]
    for line in plot.lines:
        own = _traces(line, plot, ends)
        numbers = list(range(len(traces), len(traces) + len(own)))
        dash = DASHES.get(line.dash, "longdashdot") if line.dash else ""
        form = {"colour": line.colour, "dash": dash, "marker": line.marker, "shown": line.shown}
        series.append({"label": line.label, "traces": numbers, **form})
        traces += own
    layout = {
        "xaxis": _axis(plot.x, plot.x_form, ends),
        "yaxis": _axis(plot.y, plot.y_form, [y for line in plot.lines for y in line.y]),
    }
    if plot.from_zero:
        layout["yaxis"]["rangemode"] = "tozero"
    return {"data": traces, "layout": layout, "series": series}


def _traces(line: Line, plot: Lines, ends: list[Any]) -> list[dict[str, Any]]:
    x, y = ([max(ends, default=2), min(ends, default=0.5)], [line.y[0]] * 2) if line.level else (line.x, line.y)
    modes = [name for name, on in (("lines", line.dash), ("markers", line.marker)) if on]
    trace: dict[str, Any] = {
        "type": "scatter", "x": x, "y": y, "mode": "+".join(modes), "name": escape(line.label), "visible": line.shown,
        "line": {"color": line.colour, "width": 2, "dash": DASHES.get(line.dash, "longdashdot")},
        "marker": _marker(line),
        "hovertemplate": _hover(line, plot),
    }  # fmt: skip
    if line.notes is not None:
        trace["customdata"] = [escape(note) for note in line.notes]
    return [trace] if line.band is None else [_band(line), trace]


def _marker(line: Line) -> dict[str, Any]:
    """Points that no line joins are larger; a cross is an outline, which a point under it shows through."""
    style = {"color": line.colour, "size": 7 if line.dash else 10, "symbol": SYMBOLS.get(line.marker, "circle")}
    return style | ({"line": {"color": line.colour, "width": 3}} if line.marker == "x" else {})


def _hover(line: Line, plot: Lines) -> str:
    y = "%{y:.2%}" if plot.y_form == "percent" else "%{y:.4g}"
    x = {"percent": "%{x:.1%}", "weights": "%{x:.2%}", "category": "%{x}"}.get(plot.x_form, "%{x:.4~g}")
    note = "<br>%{customdata}" if line.notes is not None else ""
    where = "" if line.level else f"<br>{escape(plot.x)}: {x}"
    return f"<b>{_words(line.label)}</b><br>{escape(plot.y)}: {y}{where}{note}<extra></extra>"


def _words(label: str) -> str:
    """A label inside a hover's template, in which %{...} would be filled in."""
    return escape(label).replace("%{", "% {")


def _band(line: Line) -> dict[str, Any]:
    """One closed shape for each run of points that have a band; None parts them."""
    x, y = [], []
    for inside, points in groupby(zip(line.x, line.y, line.band), lambda point: None not in point):
        if inside:
            there = list(points)
            x += [p[0] for p in there] + [p[0] for p in reversed(there)] + [None]
            y += [p[1] + p[2] for p in there] + [p[1] - p[2] for p in reversed(there)] + [None]
    red, green, blue = (int(line.colour[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter", "x": x[:-1], "y": y[:-1], "fill": "toself",
        "mode": "lines", "line": {"width": 0}, "fillcolor": f"rgba({red},{green},{blue},0.18)", "hoverinfo": "skip",
        "visible": line.shown,
    }  # fmt: skip


def _axis(title: str, form: str, values: list[Any]) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": escape(title)}}
    if form == "weights":
        ticks = weight_ticks(values)
        low = min(values, default=1.0)
        ends = [0.03 * (1 - np.log10(low)), np.log10(low) - 0.03 * (1 - np.log10(low))]
        return axis | {"type": "log", "range": ends, "tickvals": ticks, "ticktext": [f"{100 * t:.3g}%" for t in ticks]}
    if form == "category":
        names = list(dict.fromkeys(values))
        return axis | {"type": "category", "tickvals": names, "ticktext": [escape(brief(name)) for name in names]}
    if form == "log" and (ticks := log_ticks(values)):
        return axis | {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
    if form != "percent":
        return axis
    alone = {"range": [values[0] - 0.05, values[0] + 0.05]} if len(set(values)) == 1 else {}  # or else from -100% to 200%
    return axis | {"tickformat": ".4~p"} | alone


def _heat(plot: Heat) -> dict[str, Any]:
    cells = [str(text) for text in chain.from_iterable(plot.text)]
    small = max(len(plot.rows), len(plot.columns)) <= 12 and max(map(len, cells), default=0) <= 5
    trace = {
        "type": "heatmap", "z": plot.z, "x": list(range(len(plot.columns))), "y": list(range(len(plot.rows))),
        "zmin": plot.ends[0], "zmax": plot.ends[1], "colorscale": _scale(plot), "xgap": 1, "ygap": 1,
        "colorbar": {"title": {"text": escape(plot.unit), "side": "right"}, "thickness": 12},
        "customdata": [[escape(f"{brief(row)} / {brief(column)}") for column in plot.columns] for row in plot.rows],
        "hovertemplate": f"{escape(plot.y)} / {escape(plot.x)}:<br><b>%{{customdata}}</b>"
        f"<br>{escape(plot.unit)}: %{{z:.4~g}}<extra></extra>",
    }  # fmt: skip
    if plot.text and small:
        trace |= {"text": plot.text, "texttemplate": "%{text}", "textfont": {"color": INK}}
    axes = {
        "xaxis": _names(plot.x, plot.columns),
        "yaxis": _names(plot.y, plot.rows) | {"autorange": "reversed", "tickangle": 0},
    }
    return {"data": [trace], "layout": axes, "series": [], "rows": len(plot.rows)}


def _scale(plot: Heat) -> list[tuple[float, str]]:
    colours = PUOR if plot.diverging else BLUES
    return [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)]


def _names(title: str, names: Any) -> dict[str, Any]:
    every = -(-len(names) // 40)
    ticks = list(range(0, len(names), every))
    slanted = {"tickangle": -45} if max(map(len, names), default=0) > 4 else {}
    return {"title": {"text": escape(title)}, "tickvals": ticks, "ticktext": [escape(brief(names[i])) for i in ticks], **slanted}
