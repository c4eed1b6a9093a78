"""What a figure shows, apart from how it is drawn: ``draw`` makes pictures of it, ``interactive`` what the page plots."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import numpy as np

COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # Okabe and Ito's
MARKERS = "os^Dvx"
LONG = (0, (8, 3))  # long dashes
# Of heat maps, from least to most: none so dark that black text on it is hard to read (a contrast of at least 5).
BLUES = ("#f7fbff", "#c6dbef", "#9ecae1", "#4292c6")
PUOR = ("#e08214", "#fdb863", "#f7f7f7", "#b2abd2", "#8073ac")


@dataclass(frozen=True)
class Line:
    """One series: ``x`` and ``y`` of equal length, with a spread to both sides of each point where it is not None."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: str = COLOURS[0]
    dash: Any = "-"  # matplotlib's; '' joins no points
    marker: str = ""
    spread: Sequence[float | None] | None = None
    spread_as: str = "band"  # around y; or error bars along 'y' or 'x'
    notes: Sequence[str] | None = None  # what the hover of each point shows beside x and y
    shown: bool = True  # whether the page shows it at first


@dataclass(frozen=True)
class Lines:
    """Lines over common axes; the title of an axis says its unit.

    The form of an axis is 'number', 'log', 'percent' (of fractions), 'weights' (log, percent, dense at the left) or 'names'
    (positions 0, 1, ... that are called ``names``; from the top down on the y axis).
    """

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    x_form: str = "number"
    y_form: str = "number"
    names: Sequence[str] = ()
    from_zero: bool = False
    note: str = ""  # beside the title


@dataclass(frozen=True)
class Heat:
    """A matrix ``z`` (rows, columns), NaN where there is nothing; ``form`` prints the numbers of cells where there is room."""

    title: str
    x: str
    y: str
    unit: str
    z: np.ndarray
    columns: Sequence[str]
    rows: Sequence[str]
    form: str = "{:.1f}"
    ends: tuple[float, float] = (0.0, 1.0)
    diverging: bool = False

    @property
    def text(self) -> list[list[str]]:
        return [["" if math.isnan(v) else self.form.format(v) for v in row] for row in self.z]


Plot = Lines | Heat


def over_seeds(
    label: str,
    x: Sequence[float],
    samples: Sequence[Sequence[float]],
    notes: Sequence[str] = (),
    unit: str = "seed",
    **style: Any,
) -> Line:
    """A line of means with one standard deviation (n - 1) as its spread.

    Args:
        samples: of each point, one value a ``unit``, one or more.
        notes: what the hover of each point shows before its deviation and n.

    A point of values that are not all finite is a gap.
    """
    finite = [all(map(math.isfinite, values)) for values in samples]
    spread = [stdev(values) if ok and len(values) > 1 else None for values, ok in zip(samples, finite)]
    counts = [f"± {sd:.2g}, {len(v)} {unit}s" if sd is not None else f"1 {unit}" for v, sd in zip(samples, spread)]
    hover = [", ".join(part) for part in zip(notes, counts)] if notes else counts
    known = spread if any(sd is not None for sd in spread) else None
    y = [fmean(values) if ok else None for values, ok in zip(samples, finite)]
    return Line(label, list(x), y, spread=known, notes=hover, **style)


def pretty(fraction: float) -> str:
    """A fraction in percent, to one decimal at most."""
    return f"{round(100 * fraction, 1):g}%"


def brief(name: str) -> str:
    """A name on one line, without its middle where it is long, for an axis."""
    name = " ".join(name.split())
    return name if len(name) <= 24 else name[:11] + "…" + name[-12:]


def spread_out(values: Sequence[Any], count: int) -> list[Any]:
    """Return at most ``count`` of the values, evenly over their order, first and last included."""
    if len(values) <= count:
        return list(values)
    return [values[i] for i in sorted({round(i) for i in np.linspace(0, len(values) - 1, count)})]


Ticks = tuple[list[float], list[str]]  # positions and texts


def ticks(form: str, values: Sequence[float | None], names: Sequence[str] = ()) -> Ticks | None:
    """Return the ticks of an axis of a form, see ``Lines``; None where a drawing library chooses them, on a linear axis.

    A log axis over less than three round numbers has no ticks, and so is linear, or that of weights has the values themselves.
    """
    if form == "names":
        at = spread_out(range(len(names)), 40) if all(names) else list(range(len(names)))
        return at, [brief(names[i]) for i in at]
    positive = sorted({v for v in values if v is not None and 0 < v < math.inf})
    if form not in ("log", "weights") or not positive:
        return None
    low, high = positive[0] * 0.8, min(positive[-1] * 1.25, 1 if form == "weights" else math.inf)
    steps = (1,) if high > 1500 * low else (1, 2, 5) if high > 30 * low else (1, 1.5, 2, 3, 5, 7)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    at = [tick for e in powers for m in steps if low <= (tick := round(m * 10.0**e, 12)) <= high]
    if form == "log":
        return (at, [f"{tick:g}" for tick in at]) if len(at) > 2 else None
    at = at if len(at) > 2 else spread_out(positive, 6)
    return at, [f"{100 * tick:.3g}%" for tick in at]
