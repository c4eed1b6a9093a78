"""What a page shows of one chain: learning curves, densities, masks, weights and classes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from lth.analysis import compare, ends
from lth.analysis.pairs import Arm
from lth.report import read
from lth.report.choose import Chain, first, short
from lth.report.plot import COLOURS, Heat, Line, Lines, Plot, over_seeds, pretty, spread_out
from lth.report.scores import WEIGHTS
from lth.tree.record import Found, Record

SHOWN, DRAWN = 4, len(COLOURS)  # learning curves that are shown at first, and that can be chosen
SEEDS, ROUNDS, DEPTHS = 4, 3, 12  # whose masks are read: overlaps are of pairs
CLASSES = 40  # in a confusion matrix: as many as have room for their names
JACCARD = "intersection over union (0 to 1)"


@dataclass(frozen=True)
class Part:
    """A heading with plain ``text``, then finished ``inside`` HTML, then figures: name of the file -> plot."""

    title: str
    text: str = ""
    inside: str = ""
    figures: dict[str, Plot] = field(default_factory=dict)


def n(arms: Sequence[Arm]) -> str:
    return ends.seeds([len(arm) for arm in arms])


def curves(chain: Chain, found: Found) -> Part:
    """Losses and accuracy while training, means over seeds."""
    arms, shown = spread_out(chain.arms, DRAWN), spread_out(chain.arms, SHOWN)
    what = "its metrics.csv, left out of learning curves,"
    histories = [(arm, [rows for _, rows in read.each(arm.values(), read.history, what, found)]) for arm in arms]
    figures = {}
    for name, title, form in (
        ("train_loss", "training loss, nats", "log"),
        ("val_loss", "validation loss, nats", "log"),
        ("val_acc", "validation accuracy", "percent" if chain.records[0].score == "acc" else "number"),
    ):
        lines = [
            _curve(short(first(arm)), rows, name, colour, any(arm is other for other in shown))
            for (arm, rows), colour in zip(histories, COLOURS)
            if rows
        ]
        heading = f"{title.partition(',')[0].capitalize()}: {chain.label}, {n([arm for arm, _ in histories])}"
        if lines:
            figures[f"curves_{name}"] = Lines(heading, "iteration (optimiser steps)", title, lines, y_form=form)
    text = "Bands are one standard deviation over seeds. Training loss is the mean over the batches of an epoch, in train mode."
    return Part("Learning curves", text if figures else "No metrics.csv of these rounds can be read.", figures=figures)


def _curve(label: str, histories: Sequence[list[dict[str, Any]]], name: str, colour: str, shown: bool) -> Line:
    samples: dict[float, list[float]] = {}
    for row in (row for rows in histories for row in rows):
        samples.setdefault(row["iteration"], []).append(np.nan if row[name] is None else row[name])
    x = sorted(samples)
    return over_seeds(label, x, [samples[iteration] for iteration in x], colour=colour, shown=shown)


def density(chain: Chain) -> Part:
    """The density of each layer (rows) in each round (columns)."""
    title, arms = "Density by layer and round", [arm for arm in spread_out(chain.arms, 24) if first(arm).layers]
    if not any(first(arm).round for arm in arms):
        return Part(title, "There is no ticket whose layers are on record.")
    names = list(first(arms[-1]).layers)
    z = [[100 * float(np.mean([r.layers.get(name, np.nan) for r in arm.values()])) for arm in arms] for name in names]
    rounds = [str(first(arm).round * first(arm).levels) for arm in arms]
    plot = Heat(
        f"{chain.label}: density after pruning, {n(arms)}", "round", "layer, from input to output",
        "weights remaining, % of the layer", z, rounds, [name.removesuffix(".weight") for name in names],
        [[f"{value:.1f}" for value in row] for row in z], (0.0, 100.0),
    )  # fmt: skip
    return Part(title, figures={"density": plot})


def overlap(chain: Chain, found: Found) -> Part:
    """The Jaccard index of masks: mean over pairs of seeds beside what chance would give, and every two of a few tickets."""
    what = "its ticket.safetensors, left out of mask overlaps,"
    tickets = [arm for arm in chain.arms if first(arm).round]
    loaded = [
        read.each(list(arm.values())[:SEEDS], read.masks, what, found)
        for arm in spread_out([arm for arm in tickets if len(arm) > 1] or tickets, DEPTHS)
    ]
    figures: dict[str, Plot] = {}
    points = [(first, values) for first, values in ((each[0][0], _pairs(each)) for each in loaded if each) if values]
    if points:
        x, notes = [record.density for record, _ in points], [f"{len(v)} pair{'s' * (len(v) > 1)}" for _, v in points]
        y, chance = [float(np.mean(values)) for _, values in points], [by_chance(record) for record, _ in points]
        lines = [Line("mean over pairs of seeds", x, y, marker="o", notes=notes)]
        lines.append(Line("by chance, with the same density in each layer", x, chance, "#666666", "--"))
        heading = f"Masks of two seeds: {chain.label}, {max(len(v) for _, v in points)} pairs at most"
        figures["overlap_seeds"] = Lines(heading, WEIGHTS, JACCARD, lines, "weights", from_zero=True)
    few = [pair for each in spread_out(loaded, ROUNDS) for pair in each]
    if len(few) > 1:
        z = [[jaccard(one, other) for _, other in few] for _, one in few]
        names = [f"seed {record.seed}, {pretty(record.density)}" for record, _ in few]
        text = [["" if value is None else f"{value:.2f}" for value in row] for row in z]
        heading = f"Masks of every two of {len(few)} tickets: {chain.label}"
        figures["overlap"] = Heat(heading, "ticket", "ticket", JACCARD, z, names, names, text)
    text = "Jaccard index of the weights that two tickets keep: intersection over union."
    text += f" Of {chain.seeds} seeds {SEEDS} are read." * (chain.seeds > SEEDS)
    return Part("Mask overlap", text if figures else "There are no two tickets whose masks can be read.", figures=figures)


def _pairs(loaded: Sequence[tuple[Record, read.Masks]]) -> list[float]:
    values = (jaccard(one, other) for (_, one), (_, other) in combinations(loaded, 2))
    return [value for value in values if value is not None]


def jaccard(one: read.Masks, other: read.Masks) -> float | None:
    """Return the intersection over union of two packed masks, in [0, 1]; None for masks of different layers."""
    if {name: mask.shape for name, mask in one.items()} != {name: mask.shape for name, mask in other.items()}:
        return None
    both = sum(int(np.bitwise_count(one[name] & other[name]).sum()) for name in one)
    either = sum(int(np.bitwise_count(one[name] | other[name]).sum()) for name in one)
    return both / either if either else 0.0


def by_chance(record: Record) -> float:
    """Return the Jaccard index to expect of two random masks with the densities of a ticket's layers."""
    sizes = [(record.layer_weights[name], density) for name, density in record.layers.items()]
    either = sum(count * d * (2 - d) for count, d in sizes)
    return sum(count * d * d for count, d in sizes) / either if either else 0.0


def histogram(chain: Chain, ends_: Sequence[Arm], found: Found) -> Part:
    """How the remaining weights of the dense network and of the ticket spread, before and after training; of one seed."""
    title = "Weights before and after training"
    seed = min(set.intersection(*map(set, ends_)), default=None)
    records = [arm[seed] for arm in ends_] if seed is not None else [first(ends_[-1])]
    loaded = read.each(records, read.weights, "its weights, left out of the histogram,", found)
    arrays = [values for _, both in loaded for values in both]
    if not arrays or not all(map(len, arrays)):
        return Part(title, "The weights of these rounds, or what they started from, cannot be read.")
    end = max(float(np.quantile(np.abs(values), 0.999)) for values in arrays) or 1.0
    edges = np.linspace(-end, end, 81)
    lines = [
        Line(f"{short(record)}, {when}", (edges[:-1] + edges[1:]) / 2, np.histogram(v, edges)[0] / len(v), colour, dash)
        for (record, both), colour in zip(loaded, COLOURS)
        for v, when, dash in zip(both, ("before training", "after training"), ("--", "-"))
    ]
    unit = f"share of the remaining weights in a bin of {edges[1] - edges[0]:.2g}"
    heading = f"{chain.label}, seed {records[0].seed}, at the last epoch"
    plot = Lines(heading, "value of the weight (no unit)", unit, lines, y_form="percent")
    return Part(title, "Weights that the masks keep; the outermost thousandth is cut off.", figures={"weights": plot})


def classes(chain: Chain, ends_: Sequence[Arm], winner: Any, found: Found) -> Part:
    """Confusion matrices of the dense network, of the ticket, and their difference; the accuracy of each class."""
    arms = [[r for r in arm.values() if r.test_confusion and r.classes] for arm in ends_]
    loaded = [read.each(records, read.confusion, "its confusion matrix", found) for records in arms]
    loaded = [pairs for pairs in loaded if pairs]
    if not loaded:
        return Part("Classes", "No confusion matrix of these rounds is on record.")
    names = loaded[0][0][0].classes
    some, text = list(range(len(names))), "Test images, last epoch, means over seeds."
    means = [np.mean([shares for _, shares in pairs], axis=0) for pairs in loaded]
    if len(names) > CLASSES:
        some = sorted(np.argsort(-np.abs(np.diag(means[-1] - means[0])), kind="stable")[:CLASSES])
        text += f" Of {len(names)} classes the {CLASSES} whose accuracies differ most."
    called = [str(names[i]) for i in some]
    over = [f"{short(pairs[0][0])}, at the last epoch, {ends.seeds([len(pairs)])}" for pairs in loaded]
    few = [mean[np.ix_(some, some)] for mean in means]
    figures: dict[str, Plot] = {
        f"confusion_{key}": confusion(shares, called, title) for key, shares, title in zip(("dense", "ticket"), few, over)
    }
    if len(few) == 2:
        figures["confusion_difference"] = _change(f"{over[1]}, less the dense network", called, few[1] - few[0])
    lines = [
        over_seeds(
            short(pairs[0][0]), range(len(some)), [[shares[i, i] for _, shares in pairs] for i in some], called,
            dash="", marker="ox"[k], colour=COLOURS[k], spread_as="y",
        )
        for k, pairs in enumerate(loaded)
    ]  # fmt: skip
    heading = f"Accuracy of each class: {chain.label}, at the last epoch, {ends.seeds([len(pairs) for pairs in loaded])}"
    y = "test accuracy of the class"
    figures["classes"] = Lines(heading, "class", y, lines, "names", "percent", called, note="bars: one standard deviation")
    if len(few) == 2:
        text += f" The ticket is the sparsest {compare.CALLED[winner] if winner else 'one: none is shown to win'}."
    return Part("Classes", text, figures=figures)


def confusion(shares: np.ndarray, names: Sequence[str], title: str = "") -> Heat:
    """Return the plot of a confusion matrix, fractions of each true class (rows) that are predicted as each class."""
    text = [[f"{100 * v:.1f}" if v else "" for v in row] for row in shares]
    return Heat(title, "predicted class", "true class", "% of the true class", 100 * shares, names, names, text, (0.0, 100.0))


def _change(title: str, names: Sequence[str], change: np.ndarray) -> Heat:
    end = max(0.1, 100 * float(np.abs(change).max()))
    text = [[f"{100 * v:+.1f}" if abs(v) >= 0.0005 else "" for v in row] for row in change]
    return Heat(title, "predicted class", "true class", "percentage points", 100 * change, names, names, text, (-end, end), True)
