"""Plots as plotly.js reads them: plain JSON. Plotly takes some of HTML in its texts, so all of ours is escaped."""

from html import escape
from itertools import groupby
from typing import Any

from lth.report.plot import BLUES, LONG, PUOR, Heat, Line, Lines, Plot, brief, ticks

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot", LONG: "longdash"}
SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "x": "x"}
HOVER = {"percent": ":.2%", "weights": ":.2%"}  # how a form prints a coordinate


def spec(plot: Plot) -> dict[str, Any]:
    """Return ``data`` and ``layout`` for plotly, and ``series``: the label, colour and dash of each line, and its traces."""
    return _heat(plot) if isinstance(plot, Heat) else _lines(plot)


def _lines(plot: Lines) -> dict[str, Any]:
    traces, series = [], []
    for line in plot.lines:
        drawn = _traces(line, plot)
        numbers = list(range(len(traces), len(traces) + len(drawn)))
        dash = DASHES.get(line.dash, "longdashdot") if line.dash else ""
        series.append({"label": line.label, "traces": numbers, "colour": line.colour, "dash": dash, "shown": line.shown})
        traces += drawn
    across = _axis(plot.x, plot.x_form, [x for line in plot.lines for x in line.x], plot.names)
    up = _axis(plot.y, plot.y_form, [y for line in plot.lines for y in line.y], plot.names)
    if plot.x_form == "weights":
        across["autorange"] = "reversed"
    if plot.y_form == "names":
        up["autorange"] = "reversed"
    if plot.from_zero:
        up["rangemode"] = "tozero"
    return {"data": traces, "layout": {"xaxis": across, "yaxis": up}, "series": series}


def _traces(line: Line, plot: Lines) -> list[dict[str, Any]]:
    modes = [name for name, on in (("lines", line.dash), ("markers", line.marker)) if on]
    trace: dict[str, Any] = {
        "type": "scatter", "x": line.x, "y": line.y, "mode": "+".join(modes), "visible": line.shown, "name": escape(line.label),
        "line": {"color": line.colour, "width": 2, "dash": DASHES.get(line.dash, "longdashdot")},
        "marker": {"color": line.colour, "size": 7 if line.dash else 9, "symbol": SYMBOLS.get(line.marker, "circle")},
        "hovertemplate": _hover(line, plot),
    }  # fmt: skip
    if line.notes is not None:
        trace["customdata"] = [escape(note) for note in line.notes]
    if line.spread is None:
        return [trace]
    if line.spread_as == "band":
        return [_band(line), trace]
    bars = {"type": "data", "array": line.spread, "color": line.colour, "thickness": 1.5, "width": 3}
    return [trace | {f"error_{line.spread_as}": bars}]


def _hover(line: Line, plot: Lines) -> str:
    """What the hover of a point shows; the notes name what an axis of names would. A %{...} in a label would be filled in."""
    parts = [f"<b>{escape(line.label).replace('%{', '% {')}</b>"]
    for which, title, form in (("y", plot.y, plot.y_form), ("x", plot.x, plot.x_form)):
        if form != "names":
            parts.append(f"{escape(title)}: %{{{which}{HOVER.get(form, ':.4~g')}}}")
    return "<br>".join([*parts, *["%{customdata}"] * (line.notes is not None)]) + "<extra></extra>"


def _band(line: Line) -> dict[str, Any]:
    """One closed shape for each run of points that have a spread; None parts them."""
    x, y = [], []
    for inside, run in groupby(zip(line.x, line.y, line.spread), lambda point: None not in point):
        if inside:
            points = list(run)
            x += [p[0] for p in points] + [p[0] for p in reversed(points)] + [None]
            y += [p[1] + p[2] for p in points] + [p[1] - p[2] for p in reversed(points)] + [None]
    red, green, blue = (int(line.colour[i : i + 2], 16) for i in (1, 3, 5))
    return {
        "type": "scatter", "x": x[:-1], "y": y[:-1], "fill": "toself", "mode": "lines", "line": {"width": 0},
        "fillcolor": f"rgba({red},{green},{blue},0.18)", "hoverinfo": "skip", "visible": line.shown,
    }  # fmt: skip


def _axis(title: str, form: str, values: list[Any], names: Any = ()) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": escape(title)}}
    if chosen := ticks(form, values, names):
        axis |= {"tickvals": chosen[0], "ticktext": [escape(text) for text in chosen[1]]}
        return axis if form == "names" else axis | {"type": "log"}
    if form == "percent":
        axis["tickformat"] = ".4~p"
        if len(set(values)) == 1:  # or plotly's axis goes from -100% to 200%
            axis["range"] = [values[0] - 0.05, values[0] + 0.05]
    return axis


def _heat(plot: Heat) -> dict[str, Any]:
    rows, columns = plot.z.shape
    colours = PUOR if plot.diverging else BLUES
    trace = {
        "type": "heatmap", "z": plot.z, "x": list(range(columns)), "y": list(range(rows)), "xgap": 1, "ygap": 1,
        "zmin": plot.ends[0], "zmax": plot.ends[1],
        "colorscale": [(i / (len(colours) - 1), colour) for i, colour in enumerate(colours)],
        "colorbar": {"title": {"text": escape(plot.unit), "side": "right"}, "thickness": 12},
        "customdata": [[escape(f"{brief(row)} / {brief(column)}") for column in plot.columns] for row in plot.rows],
        "hovertemplate": f"{escape(plot.y)} / {escape(plot.x)}:<br><b>%{{customdata}}</b>"
        f"<br>{escape(plot.unit)}: %{{z:.4~g}}<extra></extra>",
    }  # fmt: skip
    if max(rows, columns) <= 12:
        trace |= {"text": plot.text, "texttemplate": "%{text}", "textfont": {"color": "#000000"}}
    up = _axis(plot.y, "names", [], plot.rows) | {"autorange": "reversed"}
    return {
        "data": [trace],
        "layout": {"xaxis": _axis(plot.x, "names", [], plot.columns), "yaxis": up},
        "series": [],
        "rows": rows,
    }
