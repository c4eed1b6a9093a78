"""What a figure shows, apart from how it is drawn: ``draw`` makes pictures of it, ``report.interactive`` what a page plots."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito's
MARKERS = "os^Dvx"
# of heat maps, from least to most: none so dark that black text on it is hard to read (a contrast of at least 5)
BLUES = ("#f7fbff", "#c6dbef", "#9ecae1", "#4292c6")
PUOR = ("#e08214", "#fdb863", "#f7f7f7", "#b2abd2", "#8073ac")


@dataclass(frozen=True)
class Line:
    """One series: ``x`` and ``y`` of equal length; a ``level`` is a horizontal at ``y[0]`` and has no x."""

    label: str
    x: Sequence[Any]
    y: Sequence[float | None]
    colour: str = COLOURS[0]
    dash: Any = "-"  # matplotlib's; '' joins no points
    marker: str = ""
    band: Sequence[float | None] | None = None  # half the height of the band around y, which is open where there is none
    level: bool = False
    notes: Sequence[str] | None = None  # what each point's hover says beside x and y
    shown: bool = True  # whether an interactive figure begins with it


@dataclass(frozen=True)
class Lines:
    """Lines over common axes; a title of an axis says its unit. Shares of x or y are fractions, printed in percent."""

    title: str
    x: str
    y: str
    lines: Sequence[Line]
    x_form: str = "number"  # 'number', 'log', 'percent', 'weights' (log, percent, dense at the left) or 'category'
    y_form: str = "number"  # 'number', 'log' or 'percent'
    from_zero: bool = False
    note: str = ""  # at the right of the title


@dataclass(frozen=True)
class Heat:
    """A matrix ``z`` (rows, columns) under names; ``text`` is what the cells say where there is room."""

    title: str
    x: str
    y: str
    unit: str
    z: Sequence[Sequence[float | None]]
    columns: Sequence[str]
    rows: Sequence[str]
    text: Sequence[Sequence[str]] = field(default_factory=list)
    ends: tuple[float, float] = (0.0, 1.0)
    diverging: bool = False


Plot = Lines | Heat


def pretty(fraction: float) -> str:
    """A fraction in percent, to one decimal at most."""
    return f"{round(100 * fraction, 1):g}%"


def brief(name: str) -> str:
    """A name on one line, and its middle left out where it is long: what stands at an axis."""
    name = " ".join(name.split())
    return name if len(name) <= 24 else name[:11] + "…" + name[-12:]


def weight_ticks(densities: Sequence[float]) -> list[float]:
    """Round densities at which a log axis of weights remaining has ticks, from the sparsest to 1; thinned to eight or so."""
    low = min(densities, default=1.0)
    return _ticks(low * 0.9, 1.0, (1, 2, 5) if low < 0.05 else (1, 2, 3, 5, 7))


def log_ticks(values: Sequence[float | None]) -> list[float]:
    """Round numbers at which a log axis over these values has ticks; [] without a positive one."""
    positive = [v for v in values if v is not None and 0 < v < math.inf]
    if not positive:
        return []
    low, high = min(positive), max(positive)
    steps = (1,) if high > 1000 * low else (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 5, 7)
    return _ticks(low * 0.8, high * 1.25, steps)


def _ticks(low: float, high: float, steps: Sequence[float]) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [tick for e in powers for m in steps if low <= (tick := round(m * 10.0**e, 12)) <= high]
