"""Accuracy against what a ticket would cost: FLOPs of a perfectly sparse engine, bytes of a file."""

from collections.abc import Callable
from statistics import fmean

from lth.analysis import ends, naming
from lth.report.chains import named
from lth.report.choose import SERIES, Chain
from lth.report.plot import COLOURS, MARKERS, Line, Lines, pretty
from lth.report.read import Record

FLOAT = 4  # bytes of a weight


def file_bytes(record: Record) -> float | None:
    """Bytes of the smallest plain file: a bit a prunable weight (none if dense), 4 bytes a parameter that remains."""
    if record["model_density"] is None or record["parameters"] is None:
        return None
    masks = sum(-(-count // 8) for count, _ in record["layers"].values()) if record["round"] else 0
    return masks + FLOAT * round(record["model_density"] * record["parameters"])


def flops(record: Record) -> float | None:
    """Multiplications and additions for one image, in millions, if no zero were computed."""
    return None if record["flops_remaining"] is None else record["flops_remaining"] / 1e6


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The Pareto front of (cost, accuracy), cheapest first: the points that no other beats in one and equals in the other."""
    best, chosen = float("-inf"), []
    for cost, score in sorted(set(points), key=lambda p: (p[0], -p[1])):
        if score > best:
            best = score
            chosen.append((cost, score))
    return chosen


def plots(chains: list[Chain], title: str, accuracy: str) -> list[Lines]:
    """Mean test accuracy at an end point (of ``ends.ENDS``) against FLOPs and against file size, and the front."""
    found = [
        _plot(chains, title, accuracy, flops, "theoretical FLOPs of one image, millions"),
        _plot(chains, title, accuracy, lambda r: None if (size := file_bytes(r)) is None else size / 1e3, "compressed file, kB"),
    ]
    return [plot for plot in found if plot is not None]


def _plot(chains: list[Chain], title: str, accuracy: str, cost: Callable[[Record], float | None], unit: str) -> Lines | None:
    lines = [line for i, chain in enumerate(chains[:SERIES]) if (line := _line(chain, accuracy, cost, i)).x]
    points = front([(x, y) for line in lines for x, y in zip(line.x, line.y)])
    if not points:
        return None
    edge = Line("Pareto front", [p[0] for p in points], [p[1] for p in points], "#666666", ":", "D")
    drawn = [record for chain in chains[:SERIES] for rounds in chain.by_seed.values() for record in rounds]
    what = ends.title(accuracy)
    return Lines(named(title, what, drawn), unit, what, [*lines, edge], "log", "percent")


def _line(chain: Chain, accuracy: str, cost: Callable[[Record], float | None], i: int) -> Line:
    groups: dict[tuple[str, int], list[Record]] = {}
    for record in (r for rounds in chain.by_seed.values() for r in rounds if cost(r) is not None and not naming.control(r)):
        groups.setdefault((record["step"], record["round"]), []).append(record)
    points = sorted((fmean(cost(r) for r in g), fmean(r[accuracy] for r in g), len(g), g[0]["density"]) for g in groups.values())
    notes = [f"{pretty(d)} of weights, {n} seed{'s' * (n > 1)}" for _, _, n, d in points]
    x, y = [p[0] for p in points], [p[1] for p in points]
    return Line(chain.label, x, y, COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)], notes=notes)
