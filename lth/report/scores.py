"""Plots of scores: of tickets and controls against weights remaining or cost, their differences, and errors between copies."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from lth.analysis import ends, naming, pairs, verdict
from lth.analysis.pairs import Arm, first
from lth.analysis.verdict import MARGIN
from lth.report.choose import Chain
from lth.report.plot import COLOURS, LONG, MARKERS, Line, Lines, over_seeds, pretty
from lth.tree.record import Record

WEIGHTS = "weights remaining, % of the prunable"
STYLES = {  # of tickets ('') and of controls: dash, marker, and colour where there is one chain
    "": ("-", "o", COLOURS[0]),
    "reinit": ("--", "s", COLOURS[1]),
    "shuffle": (":", "^", COLOURS[2]),
    "random": ("-.", "D", COLOURS[3]),
    "order": ((0, (5, 1, 1, 1, 1, 1)), "v", COLOURS[4]),
}


def figures(records: Sequence[Record], title: str, accuracy: str = ends.EARLY_STOP) -> dict[str, Lines]:
    """Return the plots of test accuracy, of early stop and, where there are copies, of the line between them."""
    plots = {"accuracy": by_weights(records, title, accuracy), "early_stop": by_weights(records, title, "early_stop_iteration")}
    return plots | {"barrier": between(records, title)} if curves(records) else plots


def form(records: Sequence[Record]) -> str:
    """Return the form of an axis of scores: accuracies are fractions, other scores numbers."""
    return "percent" if ends.score(records) == "acc" else "number"


def titled(title: str, what: str, arms: Sequence[Arm]) -> str:
    """Return the title of a figure: what it is of, what is drawn and over how many seeds."""
    return f"{title}: {what}, {ends.seeds([len(arm) for arm in arms])}"


def by_weights(records: Sequence[Record], title: str, field: str) -> Lines:
    """Return a plot of a field against weights remaining: means over seeds, with one standard deviation.

    A solid line is a chain of tickets, a broken one a control; the dense network is a horizontal, and so is the same
    network trained for more epochs, where accuracies are drawn.
    """
    speed = field == "early_stop_iteration"
    what = "iteration of early stop" if speed else ends.title(field, ends.score(records))
    arms = pairs.arms(records)
    lines = [*_chains(records, arms, field), *_horizontals(records, arms, field)]
    notes = ["bands: one standard deviation over seeds"] * any(line.spread for line in lines)
    if speed and (late := ends.censored(records)):
        notes.append(f"{late} of {len(records)} rounds stopped at the last iteration")
    y, y_form = ("early-stop iteration (optimiser steps)", "number") if speed else (what, form(records))
    heading = titled(title, what, list(arms.values()))
    return Lines(heading, WEIGHTS, y, lines, "weights", y_form, from_zero=speed, note="; ".join(notes))


def _chains(records: Sequence[Record], arms: dict[pairs.Key, Arm], field: str) -> list[Line]:
    """A line a chain of tickets, from its dense network on, and a line a control."""
    chain, names = naming.chains(records), naming.headings(records)
    groups: dict[tuple[str, str], dict[str, list[Arm]]] = {}
    for (recipe, step, index, control), arm in arms.items():
        if index:
            groups.setdefault((recipe, chain[step]), {}).setdefault(control, []).append(arm)
    lines = []
    for i, ((recipe, _), by_control) in enumerate(groups.items()):
        label = names[recipe, first(next(iter(by_control.values()))[0]).step]
        for control in sorted(by_control):
            group = sorted(by_control[control], key=lambda arm: -first(arm).density)
            seeds, start = set().union(*group), arms.get((recipe, "", 0, control), {})
            dense = {seed: record for seed, record in start.items() if seed in seeds and first(group[0]).levels == 1}
            dash, marker, colour = STYLES.get(control, ("--", "x", COLOURS[5]))
            if several := len(groups) > 1:
                colour = COLOURS[i % len(COLOURS)]
            words = [label] * (several or not control) + [naming.CONTROLS.get(control, control)] * bool(control)
            group = [dense, *group] if dense else group
            lines.append(_line(group, field, ", ".join(words), colour=colour, dash=dash, marker=marker))
    return lines


def _line(group: list[Arm], field: str, label: str, **style: str) -> Line:
    samples = [[getattr(record, field) for record in arm.values()] for arm in group]
    least, most = min(map(len, samples)), max(map(len, samples))
    label += f" (n = {least if least == most else f'{least} to {most}'} seeds)" if most > 1 else ""
    return over_seeds(label, [first(arm).density for arm in group], samples, **style)


def _horizontals(records: Sequence[Record], arms: dict[pairs.Key, Arm], field: str) -> list[Line]:
    """Dense networks; those of another number of epochs than their family's tickets where accuracies are drawn."""
    pruned, families = {r.recipe for r in records if r.round}, {r.family for r in records if r.round}
    low, names, chain = min(r.density for r in records), naming.headings(records), naming.chains(records)
    of_chains = [recipe for recipe, _ in dict.fromkeys((r.recipe, chain[r.step]) for r in records if r.round)]
    lines = []
    for (recipe, _, index, control), arm in arms.items():
        dense, longer = first(arm), recipe not in pruned and first(arm).family in families
        if index or control or (longer and field == "early_stop_iteration"):
            continue
        score = sum(getattr(r, field) for r in arm.values()) / len(arm)
        name = "dense network" if len(pruned) <= 1 else names[recipe, ""]
        if longer:
            enough = max(r.epochs * (r.round + 1) for r in records if r.round and r.family == dense.family)
            name = f"{'compute-matched ' * (dense.epochs >= enough)}{name} of {dense.epochs} epochs"
        speed, accuracy = field == "early_stop_iteration", dense.score == "acc"
        value = f"{score:.0f}" if speed else pretty(score) if accuracy else f"{score:.3g}"
        colour = COLOURS[of_chains.index(recipe) % len(COLOURS)] if len(pruned) > 1 and recipe in pruned else "#666666"
        dash, x = (0, (1, 2)) if longer else LONG, [1.0, low if low < 1 else 0.5]
        lines.append(Line(f"{name}, {value}", x, [score] * 2, colour, dash))
    return lines


def differences(records: Sequence[Record], chain: Chain, accuracy: str) -> Lines | None:
    """Return the forest plot of a chain: its tickets less the dense network and less each control, paired by seed.

    Means with two-sided 95% intervals (Student's t), the dense network's margin as a line; None where nothing can be paired.
    """
    judged = [v for v in verdict.verdicts(records, accuracy) if v.name == chain.label]
    rows = [(v.density, name, c.accuracy) for v in judged for name, c in v.comparisons.items() if c.seeds]
    if not rows:
        return None
    factor, unit = ends.scale(ends.score(records))
    lines = []
    for i, other in enumerate(dict.fromkeys(other for _, other, _ in rows)):
        at = [k for k, (_, name, _) in enumerate(rows) if name == other]
        means = [rows[k][2] for k in at]
        half = [factor * (mean.interval[1] - mean.value) if mean.interval else None for mean in means]
        x, notes = [factor * mean.value for mean in means], [f"n = {mean.n}" for mean in means]
        lines.append(Line(f"less {other}", x, at, COLOURS[i % len(COLOURS)], "", MARKERS[i % len(MARKERS)], half, "x", notes))
    for what, x, dash in (("no difference", 0, "-"), (f"margin, {-factor * MARGIN:g}{unit}", -factor * MARGIN, "--")):
        lines.append(Line(what, [x, x], [-0.5, len(rows) - 0.5], "#666666", dash))
    over = ends.seeds([mean.n for *_, mean in rows])
    title = f"{chain.label}: {ends.title(accuracy, ends.score(records))}, ticket less others, {over}"
    names = [pretty(row[0]) if not k or row[0] != rows[k - 1][0] else "" for k, row in enumerate(rows)]
    x, note = f"difference,{unit}" if unit else "difference", "paired by seed; bars: 95% intervals"
    return Lines(title, x, "weights remaining", lines, y_form="names", names=names, note=note)


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


def between(records: Sequence[Record], title: str) -> Lines:
    """Return a plot of the test error on the line between two copies of a network that saw the images in another order."""
    means = sorted(curves(records), key=lambda curve: -curve["density"])
    lines = [
        Line(
            f"{'round ' + str(c['round']) if c['round'] else 'dense network'}, {c['density']:.1%} of weights: "
            f"barrier {100 * c['barrier']:.1f} pp",
            c["alphas"], c["errors"], COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)],
        )
        for i, c in enumerate(means)
    ]  # fmt: skip
    heading = f"{title}: test error between copies, at the last epoch, {ends.seeds([c['n'] for c in means])}"
    return Lines(heading, "interpolation from one copy (0) to the other (1)", "test error", lines, y_form="percent")


def file_bytes(record: Record) -> float | None:
    """Return the bytes of the smallest plain file: a bit a prunable weight (none if dense), 4 bytes a remaining parameter."""
    if record.model_density is None or record.parameters is None:
        return None
    masks = sum(-(-count // 8) for count in record.layer_weights.values()) if record.round else 0
    return masks + 4 * round(record.model_density * record.parameters)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the Pareto front of (cost, score), cheapest first: points that none beats that costs as much or less."""
    chosen: list[tuple[float, float]] = []
    for cost, score in sorted(set(points), key=lambda point: (point[0], -point[1])):
        if not chosen or score > chosen[-1][1]:
            chosen.append((cost, score))
    return chosen


def by_cost(
    chains: Sequence[Chain], title: str, accuracy: str, cost: Callable[[Record], float | None], unit: str, scale: float
) -> Lines | None:
    """Return a plot of a score against a cost, in units of ``scale``; None where no record has that cost."""
    lines, arms = [], []
    for i, chain in enumerate(chains):
        known = [arm for arm in chain.arms if cost(first(arm)) is not None]
        if known:
            samples = [[getattr(record, accuracy) for record in arm.values()] for arm in known]
            x, notes = [cost(first(arm)) / scale for arm in known], [f"{pretty(first(arm).density)} of weights" for arm in known]
            style = {"colour": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)], "spread_as": "y"}
            lines.append(over_seeds(chain.label, x, samples, notes, **style))
            arms += known
    best = front([point for line in lines for point in zip(line.x, line.y)])
    if len(best) > 1:
        lines.append(Line("Pareto front", *map(list, zip(*best)), "#666666", ":"))
    what = ends.title(accuracy, ends.score([record for chain in chains for record in chain.records]))
    note = "bars: one standard deviation over seeds"
    return Lines(titled(title, what, arms), unit, what, lines, "log", form(chains[0].records), note=note) if lines else None
