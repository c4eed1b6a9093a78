"""What a figure shows, apart from how it is drawn: ``draw`` makes pictures of it, ``interactive`` what the page plots."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
GREY = "#666666"
MARKERS = "os^Dvx"
# Of heat maps, from least to most: none so dark that black text on it is hard to read (a contrast of at least 5).
BLUES = ("#f7fbff", "#c6dbef", "#9ecae1", "#4292c6")


def style(i: int) -> dict[str, str]:
    """Return the colour and the marker of the i-th series."""
    return {"colour": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


@dataclass(frozen=True)
class Axis:
    """An axis, whose title says the unit.

    Its form is 'number', 'log', 'percent' (of fractions), 'weights' (log, percent, dense at the left) or 'names' (positions
    0, 1, ... that are called ``names``).
    """

    title: str
    form: str = "number"
    names: Sequence[str] = ()

    def ticks(self, values: Iterable[float]) -> dict[float, str]:
        """Return position -> text; empty where the drawing library chooses them, on a linear axis.

        A log axis with less than three of 1, 2, 5 times powers of ten is linear; one of weights then has the values themselves.
        """
        if self.form == "names":
            return {i: brief(self.names[i]) for i in range(0, len(self.names), 1 + (len(self.names) - 1) // 40)}
        positive = sorted({value for value in values if 0 < value < math.inf})
        if not positive or self.form not in ("log", "weights"):
            return {}
        at = [step * 10.0**power for power in range(-12, 16) for step in (1, 2, 5)]
        at = [tick for tick in at if 0.8 * positive[0] <= tick <= 1.25 * positive[-1]]
        if self.form == "log":
            return {tick: f"{tick:g}" for tick in spread_out(at, 10)} if len(at) > 2 else {}
        return {tick: f"{100 * tick:.3g}%" for tick in spread_out(at if len(at) > 2 else positive, 10)}


@dataclass(frozen=True)
class Line:
    """One series: ``x`` and ``y`` of equal length; NaN where there is nothing."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str = COLOURS[0]
    dash: str = "-"  # matplotlib's; '' joins no points
    marker: str = ""
    spread: Sequence[float] = ()  # half the length of each point's error bar
    notes: Sequence[str] = ()  # what the hover of each point shows beside x and y; a line each
    width: float = 0  # points; 0: that of a line. Bars are wide lines, NaN between them, whose notes say x and y, too


@dataclass(frozen=True)
class Lines:
    """Lines over common axes."""

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    note: str = ""  # beside the title


@dataclass(frozen=True)
class Heat:
    """A matrix ``z`` (rows, columns) of percentages over axes of names."""

    title: str
    x: Axis
    y: Axis
    unit: str
    z: np.ndarray
    note: str = ""


Plot = Lines | Heat


def over_seeds(label: str, points: Iterable[tuple[float, float]], notes: Mapping[float, str] | None = None, **style: Any) -> Line:
    """Return a line of means with one standard deviation (n - 1) as its spread; the label says n.

    Args:
        points: x and y of each seed; an x with a y that is not finite is a gap.
        notes: what the hover of an x shows before its deviation and n.
    """
    samples: dict[float, list[float]] = {}
    for x, y in points:
        samples.setdefault(x, []).append(y)
    counts = sorted(map(len, samples.values()))
    n = f"n = {counts[0]}" if counts[0] == counts[-1] else f"n = {counts[0]} to {counts[-1]}"
    finite = [ys if all(map(math.isfinite, ys)) else [math.nan] for ys in samples.values()]
    spread = [stdev(ys) if len(ys) > 1 else math.nan for ys in finite]
    hover = [f"± {sd:.2g}, n = {len(ys)}" if len(ys) > 1 else "n = 1" for sd, ys in zip(spread, finite)]
    if notes:
        hover = [f"{notes[x]}, {text}" for x, text in zip(samples, hover)]
    return Line(f"{label} ({n})", list(samples), [fmean(ys) for ys in finite], spread=spread, notes=hover, **style)


def pretty(fraction: float) -> str:
    """Return a fraction in percent, to one decimal at most."""
    return f"{round(100 * fraction, 1):g}%"


def brief(name: str) -> str:
    """Return a name on one line, without its middle where it is long, for an axis."""
    name = " ".join(name.split())
    return name if len(name) <= 24 else name[:11] + "…" + name[-12:]


def spread_out(values: Sequence[Any], count: int) -> list[Any]:
    """Return at most ``count`` of the values, evenly over their order, first and last included."""
    return [values[i] for i in np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)]
