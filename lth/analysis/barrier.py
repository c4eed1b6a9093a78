"""Linear mode connectivity: the error along the line between two copies of a network (Frankle et al. 2020, arXiv 1912.05671)."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def curves(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each step and round with copies, errors and barrier, averaged over seeds."""
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
