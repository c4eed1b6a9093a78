"""Ranges of the command line, in Hydra's grammar, as distributions of Optuna. Imports optuna when one is made."""

from typing import TYPE_CHECKING

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from lth.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def distribution(override: Override) -> "BaseDistribution":
    """Return what a key's values are drawn from.

    ``interval(a,b)``: floats, or integers with ``int(...)``; with ``tag(log,...)`` evenly on a logarithmic scale. A rising
    ``range``: its steps. All else, such as ``a,b,c`` or ``choice(...)``: its values as texts, in no order.

    Raises:
        UsageError: nothing can be drawn.
    """
    try:
        return _distribution(override)
    except ValueError as error:
        raise UsageError(f"{override.input_line} is not accepted: {error}") from error


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        kind = IntDistribution if isinstance(sweep.start, int) else FloatDistribution
        return kind(sweep.start, sweep.end, log="log" in sweep.tags)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle and sweep.step > 0 and (steps := list(sweep.range())):
        kind = IntDistribution if isinstance(steps[0], int) else FloatDistribution
        return kind(steps[0], rounded(steps[-1]), step=sweep.step)  # Hydra adds steps up: 0.30000000000000004
    return CategoricalDistribution(sorted(set(override.sweep_string_iterator())))  # sorted, since shuffle(...) is never the same


def rounded(value: float) -> float:
    """Return a number to four digits, an integer as it is.

    Rounds are shared where values are equal, and people read and type them; a sampler needs no more digits.
    """
    return value if isinstance(value, int) else float(f"{value:.4g}")


def text(value: float | str, values: "BaseDistribution") -> str:
    """Return a value that was drawn as an override has it: floats with four digits, but never out of their range."""
    return value if isinstance(value, str) else repr(min(max(rounded(value), values.low), values.high))


def first(values: "BaseDistribution") -> str:
    """Return one of the values, the same each time, as an override has it."""
    return values.choices[0] if hasattr(values, "choices") else text(values.low, values)
