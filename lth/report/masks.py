"""Plots of masks and weights: which weights tickets share, and how their values spread."""

import numpy as np

from lth.report import chains as scores
from lth.report import weights
from lth.report.choose import Chain
from lth.report.plot import COLOURS, Heat, Line, Lines, pretty
from lth.report.plots import spread
from lth.report.read import Found, Record

SEEDS, ROUNDS, DEPTHS = 4, 3, 12  # how many are read: overlaps are of pairs
BINS = 80


def overlap(chain: Chain, found: Found) -> Heat | None:
    """The overlap of every two of a few tickets, over seeds and rounds; None with less than two."""
    tickets = [r for records in spread(_depths(chain), ROUNDS) for r in records]
    loaded = weights.loaded(tickets, found)
    if len(loaded) < 2:
        return None
    names = [f"seed {r['seed']}, {pretty(r['density'])}" for r, _ in loaded]
    table = weights.overlaps([packed for _, packed in loaded])
    z = [[None if np.isnan(v) else float(v) for v in row] for row in table]
    text = [["" if v is None else f"{v:.2f}" for v in row] for row in z]
    unit = "kept by both / kept by either (0 to 1)"
    return Heat(f"Every two of a few tickets: {chain.label}", "ticket", "ticket", unit, z, names, names, text)


def _depths(chain: Chain) -> list[list[Record]]:
    """The tickets of the first SEEDS seeds, those of one depth together, the densest first; of several seeds, if there are."""
    depths: dict[tuple[str, int], list[Record]] = {}
    for record in (r for seed in list(chain.by_seed)[:SEEDS] for r in chain.by_seed[seed] if r["round"]):
        depths.setdefault((record["step"], record["round"]), []).append(record)
    most = max(map(len, depths.values()), default=0)
    return sorted((d for d in depths.values() if len(d) >= min(2, most)), key=lambda records: -records[0]["density"])


def between_seeds(chain: Chain, found: Found) -> Lines | None:
    """The mean overlap of seeds at each density, and what chance would give; None where no two seeds share a density."""
    points = []
    for records in spread([records for records in _depths(chain) if len(records) > 1], DEPTHS):
        packed = [masks for _, masks in weights.loaded(records, found)]
        pairs = weights.overlaps(packed)[np.triu_indices(len(packed), 1)]
        shared = pairs[~np.isnan(pairs)]
        if len(shared):
            chance = weights.by_chance(records[0]["layers"])
            points.append((records[0]["density"], float(shared.mean()), chance, len(shared)))
    if not points:
        return None
    x, shared, chance, pairs = (list(column) for column in zip(*points))
    lines = [
        Line("mean over pairs of seeds", x, shared, marker="o", notes=[f"{n} pair{'s' * (n > 1)}" for n in pairs]),
        Line("by chance, with the same density in each layer", x, chance, "#666666", "--"),
    ]
    return Lines(
        f"Between seeds: {chain.label}",
        scores.WEIGHTS,
        "kept by both / kept by either (0 to 1)",
        lines,
        "weights",
        from_zero=True,
    )


def histogram(chain: Chain, found: Found) -> Lines | None:
    """How the kept weights of the dense network and of the ticket spread, before and after training; None if unreadable."""
    told = []
    for record in chain.ends:
        try:
            told.append((record, weights.before_and_after(record)))
        except weights.BROKEN as error:
            found.skip(record["folder"], f"its weights cannot be read ({error}); left out of the histogram of weights")
    if not told or not all(len(values) for _, both in told for values in both):
        return None
    end = max(float(np.quantile(np.abs(values), 0.999)) for _, both in told for values in both) or 1.0
    edges = np.linspace(-end, end, BINS + 1)
    lines = []
    for (record, both), colour in zip(told, COLOURS):
        name = f"{pretty(record['density'])} of weights" if record["round"] else "dense network"
        for values, when, dash in zip(both, ("before training", "after training"), ("--", "-")):
            share = np.histogram(values, edges)[0] / len(values)
            lines.append(Line(f"{name}, {when}", (edges[:-1] + edges[1:]) / 2, share, colour, dash))
    unit = f"share of the kept weights in a bin of {edges[1] - edges[0]:.2g}"
    return Lines(
        f"{chain.label}, seed {chain.seed}, at the last epoch", "value of the weight (no unit)", unit, lines, y_form="percent"
    )
