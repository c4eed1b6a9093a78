"""Plots of scores: of tickets and controls against weights remaining or cost, their differences, and errors between copies."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from statistics import fmean

from lth.analysis import ends, naming, pairs
from lth.analysis.pairs import Arm, first
from lth.analysis.verdict import MARGIN, Verdict
from lth.report.plot import COLOURS, GREY, Axis, Line, Lines, over_seeds, pretty, style
from lth.tree.record import Record

BARS = "bars: one standard deviation over seeds"
WEIGHTS = Axis("weights remaining, % of the prunable", "weights")
# Of tickets and controls: dash and marker.
STYLES = {
    "": ("-", "o"), "reinit": ("--", "s"), "shuffle": (":", "^"), "random": ("-.", "D"), "order": ("--", "v"),
    "sign": ("-.", "x"),
}  # fmt: skip


def figures(records: Sequence[Record], title: str, accuracy: str = ends.EARLY_STOP) -> dict[str, Lines]:
    """Return the plots of test accuracy, of early stop and, where there are copies, of the line between them."""
    plots = {"accuracy": by_weights(records, title, accuracy), "early_stop": by_weights(records, title, "early_stop_iteration")}
    copies = list(pairs.arms(record for record in records if record.line).values())
    return plots | ({"barrier": between(copies, title)} if copies else {})


def score_axis(records: Sequence[Record], title: str) -> Axis:
    """Return an axis of scores: accuracies are fractions, other scores numbers."""
    return Axis(title, "percent" if ends.score(records) == "acc" else "number")


def titled(text: str, records: Sequence[Record]) -> str:
    """Return a figure's title with the number of seeds over which its means are taken."""
    return f"{text}, {ends.seeds([len(arm) for arm in pairs.arms(records).values()])}"


def short(record: Record) -> str:
    """Return a round in a few words, for legends and axes."""
    name = f"round {record.round}, {pretty(record.density)}" if record.round else "dense network"
    return f"{name}, {naming.CONTROLS[record.control]}" if record.control else name


def chains(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return label -> the rounds of a recipe that one prune step leads to, the densest first, with round 0 and the controls.

    A dense network alone is a chain, too. Chains with tickets come first, then those with most rounds.
    """
    step, names = naming.chains(records), naming.headings(records)
    dense: dict[str, list[Record]] = defaultdict(list)
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (-r.density, r.control or "", r.seed)):
        if record.round:
            groups[record.recipe, step[record.step]].append(record)
        else:
            dense[record.recipe].append(record)
    alone = dense.keys() - {recipe for recipe, _ in groups}
    every = {names[recipe, some[0].step]: dense[recipe] + some for (recipe, _), some in groups.items()}
    every |= {names[recipe, ""]: dense[recipe] for recipe in alone}
    order = sorted(every, key=lambda label: (not every[label][-1].round, -len(every[label]), label))
    return {label: every[label] for label in order}


def by_weights(records: Sequence[Record], title: str, field: str) -> Lines:
    """Return a plot of a field against weights remaining.

    A solid line is a chain of tickets, a broken one a control; a horizontal is a dense network.
    """
    speed, low = field == "early_stop_iteration", min(record.density for record in records)
    y = Axis("early-stop iteration (optimiser steps)") if speed else score_axis(records, ends.title(field, ends.score(records)))
    every, names, lines, horizontals = chains(records), naming.headings(records), [], {}
    several = sum(some[-1].round > 0 for some in every.values()) > 1
    for i, (label, some) in enumerate(every.items()):
        for k, control in enumerate(sorted({record.control or "" for record in some})):
            group = [record for record in some if (record.control or "") == control]
            colour = COLOURS[(i if several else k) % len(COLOURS)]
            if control or group[-1].round:
                dash, marker = STYLES[control]
                name = f"{label}, {naming.CONTROLS[control]}" if control else label
                points = [(record.density, getattr(record, field)) for record in group]
                lines.append(over_seeds(name, points, colour=colour, dash=dash, marker=marker))
            if dense := [getattr(record, field) for record in group if not record.round and not control]:
                mean = fmean(dense)
                name = f"{names[group[0].recipe, '']}, {pretty(mean) if y.form == 'percent' else format(mean, '.4g')}"
                horizontals[name] = Line(name, [1.0, min(low, 0.5)], [mean, mean], colour if some[-1].round else GREY, ":")
    late = ends.censored(records)
    note = f"{BARS}; {late} of {len(records)} rounds stopped at the last iteration" if speed and late else BARS
    return Lines(titled(f"{title}: {y.title}", records), WEIGHTS, y, [*lines, *horizontals.values()], note)


def differences(judged: Sequence[Verdict], chain: str) -> Lines | None:
    """Return the forest plot of a chain: its tickets less the dense network and less each control, paired by seed.

    Means with two-sided 95% intervals (Student's t), the dense network's margin as a line; None where nothing can be paired.
    """
    judged = [v for v in judged if v.name == chain]
    names = list(dict.fromkeys(name for v in judged for name, comparison in v.comparisons.items() if comparison.seeds))
    if not names:
        return None
    (factor, unit), lines = ends.scale(judged[0].ticket.score), []
    for i, name in enumerate(names):
        rows = [(k, v.comparisons[name].accuracy) for k, v in enumerate(judged) if name in v.comparisons]
        rows = [(k, mean) for k, mean in rows if mean.n]
        x = [k + (i + 0.5) / len(names) / 2 - 0.25 for k, _ in rows]  # beside each other
        half = [factor * (mean.interval[1] - mean.value) if mean.interval else math.nan for _, mean in rows]
        notes = [f"{pretty(judged[k].density)} of weights, n = {mean.n}" for k, mean in rows]
        y = [factor * mean.value for _, mean in rows]
        lines.append(Line(f"less {name}", x, y, dash="", spread=half, notes=notes, **style(i)))
    for what, y, dash in (("no difference", 0, "-"), (f"margin, {-factor * MARGIN:g}{unit}", -factor * MARGIN, "--")):
        lines.append(Line(what, [-0.5, len(judged) - 0.5], [y, y], GREY, dash))
    x_axis = Axis("weights remaining", "names", [pretty(v.density) for v in judged])
    y_axis = Axis(f"difference of {ends.title(judged[0].end, judged[0].ticket.score)},{unit}".rstrip(","))
    counts = [comparison.accuracy.n for v in judged for comparison in v.comparisons.values() if comparison.accuracy.n]
    said = ends.ENDS[judged[0].end].said
    heading = f"{chain}: ticket less others {said}, {ends.seeds(counts)}"
    return Lines(heading, x_axis, y_axis, lines, "paired by seed; bars: 95% intervals")


def between(arms: Sequence[Arm], title: str) -> Lines:
    """Return a plot of the test error on the line between two copies of a network that saw the images in another order."""
    lines = []
    for i, arm in enumerate(sorted(arms, key=lambda arm: -first(arm).density)):
        points = [point for record in arm.values() for point in zip(record.line["alphas"], record.line["errors"])]
        label = f"{short(first(arm))}: barrier {100 * fmean(record.barrier for record in arm.values()):.1f} pp"
        lines.append(over_seeds(label, points, **style(i)))
    x, y = Axis("interpolation from one copy (0) to the other (1)"), Axis("test error", "percent")
    heading = f"{title}: test error between copies, at the last epoch, {ends.seeds([len(arm) for arm in arms])}"
    return Lines(heading, x, y, lines, BARS)


def file_bytes(record: Record) -> float | None:
    """Return the bytes of the smallest plain file: a bit a prunable weight (none if dense), 4 bytes a remaining parameter."""
    if record.model_density is None or record.parameters is None:
        return None
    masks = sum(-(-count // 8) for count in record.layer_weights.values()) if record.round else 0
    return masks + 4 * round(record.model_density * record.parameters)


def by_cost(
    records: Sequence[Record], title: str, accuracy: str, cost: Callable[[Record], float | None], axis: Axis
) -> Lines | None:
    """Return a plot of the scores of dense networks and tickets against a cost; None where no record has that cost."""
    lines = []
    for i, (label, some) in enumerate(chains(records).items()):
        points, notes = [], {}
        known = [record for record in some if not record.control and cost(record) is not None]
        for _, group in groupby(known, key=lambda record: record.density):
            seeds = list(group)
            x = fmean(map(cost, seeds))
            points += [(x, getattr(record, accuracy)) for record in seeds]
            notes[x] = short(seeds[0])
        if points:
            lines.append(over_seeds(label, points, notes, **style(i)))
    if not lines:
        return None
    every = sorted(point for line in lines for point in zip(line.x, line.y))
    best = [(x, y) for x, y in every if not any(a <= x and b >= y and (a, b) != (x, y) for a, b in every)]
    if len(best) > 1:
        lines.append(Line("Pareto front", *map(list, zip(*best)), GREY, ":"))
    score = score_axis(records, ends.title(accuracy, ends.score(records)))
    drawn = [record for record in records if not record.control and cost(record) is not None]
    return Lines(titled(f"{title}: {score.title}", drawn), axis, score, lines, BARS)
