"""Linear mode connectivity: the error along the line between two copies of a network (Frankle et al. 2020, arXiv 1912.05671)."""

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from lth.analysis import ends
from lth.report.draw import legend_below


def curves(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``figure`` draws of these records: for each step and round with copies, errors and barrier, averaged over seeds."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        if record.get("line"):
            groups.setdefault((record["recipe"], record["step"], record["round"]), []).append(record)
    return [
        {
            "round": group[0]["round"],
            "density": group[0]["density"],
            "alphas": group[0]["line"]["alphas"],
            "errors": np.mean([record["line"]["errors"] for record in group], axis=0).tolist(),
            "barrier": float(np.mean([record["barrier"] for record in group])),
            "n": len(group),
        }
        for group in groups.values()
    ]


def figure(curves: Sequence[dict[str, Any]], title: str = "") -> Figure:
    """Test error (percent) along the line between two copies that differ in SGD noise, a line a round.

    Args:
        curves: of each round ``round``, ``density``, ``alphas`` (n of 0..1), ``errors`` (n fractions) and ``barrier``, the
            fraction by which the largest error exceeds the mean of both ends. Lighter lines are denser networks.

    Raises:
        ValueError: for a curve whose alphas and errors differ in number.
    """
    picture = Figure(figsize=(7, 4), dpi=144, layout="constrained")
    axes = picture.add_subplot()
    curves = sorted(curves, key=lambda curve: -curve["density"])
    shades = matplotlib.colormaps["viridis_r"](np.linspace(0.15, 1, max(1, len(curves))))
    for curve, shade, marker in zip(curves, shades, "os^Dv<>p" * len(curves)):
        if len(curve["alphas"]) != len(curve["errors"]):
            raise ValueError(f"round {curve['round']}: {len(curve['alphas'])} alphas, {len(curve['errors'])} errors.")
        errors = 100 * np.asarray(curve["errors"])
        axes.plot(curve["alphas"], errors, ms=4, lw=1.6, marker=marker, color=shade, label=_label(curve))
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("interpolation from one copy (0) to the other (1)")
    axes.set_ylabel("test error, %")
    axes.grid(alpha=0.25)
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    if curves:
        legend_below(picture)
    return picture


def title(what: str, curves: Sequence[dict[str, Any]]) -> str:
    """A figure's title, with the end point and n."""
    return f"{what}: test error between copies, at the last epoch, {ends.seeds([curve.get('n', 1) for curve in curves])}"


def _label(curve: dict[str, Any]) -> str:
    name = f"round {curve['round']}" if curve["round"] else "dense network"
    return f"{name}, {curve['density']:.1%} of weights: barrier {100 * curve['barrier']:.1f} pp"
