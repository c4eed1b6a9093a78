"""Linear mode connectivity: the error along the line between two copies of a network (Frankle et al. 2020, arXiv 1912.05671)."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from lth.analysis import pairs
from lth.tree.record import Record


def curves(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return, for each step and round with copies that differ in SGD noise, the mean over its ``n`` seeds.

    Each is ``round``, ``density``, ``alphas`` (from 0 to 1), ``errors`` (a fraction for each alpha), ``barrier`` (the fraction
    by which the largest error exceeds the mean of both ends) and ``n``.
    """
    return [
        {
            "round": pairs.first(arm).round,
            "density": pairs.first(arm).density,
            "alphas": pairs.first(arm).line["alphas"],
            "errors": [fmean(errors) for errors in zip(*(record.line["errors"] for record in arm.values()), strict=True)],
            "barrier": fmean(record.barrier for record in arm.values()),
            "n": len(arm),
        }
        for arm in pairs.arms(record for record in records if record.line).values()
    ]
