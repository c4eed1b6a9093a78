"""Linear mode connectivity: the error along the line between two copies of a network (Frankle et al. 2020, arXiv 1912.05671)."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lth.tree.record import Record


def curves(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return, for each step and round with copies that differ in SGD noise, the mean over its ``n`` seeds.

    Each is ``round``, ``density``, ``alphas`` (from 0 to 1), ``errors`` (a fraction for each alpha), ``barrier`` (the fraction
    by which the largest error exceeds the mean of both ends) and ``n``.
    """
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if record.line:
            groups.setdefault((record.recipe, record.step, record.round), []).append(record)
    return [
        {
            "round": group[0].round,
            "density": group[0].density,
            "alphas": group[0].line["alphas"],
            "errors": [fmean(errors) for errors in zip(*(record.line["errors"] for record in group), strict=True)],
            "barrier": fmean(record.barrier for record in group),
            "n": len(group),
        }
        for group in groups.values()
    ]
