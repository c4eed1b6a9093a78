"""What a page shows of one chain: learning curves, densities, masks, weights and classes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from lth.analysis import ends
from lth.analysis.pairs import Arm, first
from lth.report import read
from lth.report.choose import Chain, short
from lth.report.plot import COLOURS, Heat, Line, Lines, Plot, over_seeds, pretty, spread_out
from lth.report.scores import WEIGHTS, form, titled
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


def part(title: str, text: str, absent: str, figures: Mapping[str, Plot | None]) -> Part:
    """Return a part with the figures that are not None and a text, or with the sentence ``absent`` where there is none."""
    shown = {name: plot for name, plot in figures.items() if plot is not None}
    return Part(title, text if shown else absent, figures=shown)


def curves(chain: Chain, found: Found) -> Part:
    """Losses and accuracy while training, means over seeds."""
    arms, shown = spread_out(chain.arms, DRAWN), spread_out(chain.arms, SHOWN)
    what = "its metrics.csv, left out of learning curves,"
    histories = [(arm, [rows for _, rows in read.each(arm.values(), read.history, what, found)]) for arm in arms]
    figures = {}
    for name, title, y_form in (
        ("train_loss", "training loss, nats", "log"),
        ("val_loss", "validation loss, nats", "log"),
        ("val_acc", "validation accuracy", form(chain.records)),
    ):
        lines = [
            _curve(short(first(arm)), rows, name, colour, any(arm is other for other in shown))
            for (arm, rows), colour in zip(histories, COLOURS)
            if rows
        ]
        heading = f"{title.partition(',')[0].capitalize()}: {chain.label}, {ends.seeds([len(rows) for _, rows in histories])}"
        if lines:
            figures[f"curves_{name}"] = Lines(heading, "iteration (optimiser steps)", title, lines, y_form=y_form)
    text = "Bands are one standard deviation over seeds. Training loss is the mean over the batches of an epoch, in train mode."
    return part("Learning curves", text, "No metrics.csv of these rounds can be read.", figures)


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
    z = np.array([[100 * np.mean([r.layers.get(name, np.nan) for r in arm.values()]) for arm in arms] for name in names])
    rounds, layers = [str(first(arm).round * first(arm).levels) for arm in arms], [name.removesuffix(".weight") for name in names]
    heading, unit = titled(chain.label, "density after pruning", arms), "weights remaining, % of the layer"
    heat = Heat(heading, "round", "layer, from input to output", unit, z, rounds, layers, ends=(0.0, 100.0))
    return Part(title, figures={"density": heat})


def overlap(chain: Chain, found: Found) -> Part:
    """The Jaccard index of masks: mean over pairs of seeds beside what chance would give, and every two of a few tickets."""
    what = "its ticket.safetensors, left out of mask overlaps,"
    tickets = [arm for arm in chain.arms if first(arm).round]
    loaded = [
        read.each(list(arm.values())[:SEEDS], read.masks, what, found)
        for arm in spread_out([arm for arm in tickets if len(arm) > 1] or tickets, DEPTHS)
    ]
    figures: dict[str, Plot] = {}
    shared = [[jaccard(one[1], other[1]) for one, other in combinations(some, 2)] for some in loaded]
    points = [(some[0][0], known) for some, values in zip(loaded, shared) if (known := [v for v in values if v == v])]
    if points:
        x, chance = [record.density for record, _ in points], [by_chance(record) for record, _ in points]
        lines = [over_seeds("mean over pairs of seeds", x, [values for _, values in points], unit="pair", marker="o")]
        lines.append(Line("by chance, with the same density in each layer", x, chance, "#666666", "--"))
        heading = f"Masks of two seeds: {chain.label}, {max(len(v) for _, v in points)} pairs at most"
        figures["overlap_seeds"] = Lines(heading, WEIGHTS, JACCARD, lines, "weights", from_zero=True)
    few = [pair for each in spread_out(loaded, ROUNDS) for pair in each]
    if len(few) > 1:
        z = np.array([[jaccard(one, other) for _, other in few] for _, one in few])
        names = [f"seed {record.seed}, {pretty(record.density)}" for record, _ in few]
        heading = f"Masks of every two of {len(few)} tickets: {chain.label}"
        figures["overlap"] = Heat(heading, "ticket", "ticket", JACCARD, z, names, names, "{:.2f}")
    text = "Jaccard index of the weights that two tickets keep: intersection over union."
    text += f" Of {chain.seeds} seeds {SEEDS} are read." * (chain.seeds > SEEDS)
    return part("Mask overlap", text, "There are no two tickets whose masks can be read.", figures)


def jaccard(one: read.Masks, other: read.Masks) -> float:
    """Return the intersection over union of two packed masks, in [0, 1]; NaN for masks of different layers."""
    if {name: mask.shape for name, mask in one.items()} != {name: mask.shape for name, mask in other.items()}:
        return math.nan
    both = sum(int(np.bitwise_count(one[name] & other[name]).sum()) for name in one)
    either = sum(int(np.bitwise_count(one[name] | other[name]).sum()) for name in one)
    return both / either if either else 0.0


def by_chance(record: Record) -> float:
    """Return the Jaccard index to expect of two random masks with the densities of a ticket's layers."""
    sizes = [(record.layer_weights[name], density) for name, density in record.layers.items()]
    either = sum(count * d * (2 - d) for count, d in sizes)
    return sum(count * d * d for count, d in sizes) / either if either else 0.0


def histogram(chain: Chain, both: Sequence[Arm], found: Found) -> Part:
    """How the remaining weights of the dense network and of the ticket spread, before and after training; of one seed."""
    title = "Weights before and after training"
    seed = min(set.intersection(*map(set, both)), default=None)
    records = [arm[seed] for arm in both] if seed is not None else [first(both[-1])]
    loaded = read.each(records, read.weights, "its weights, left out of the histogram,", found)
    arrays = [values for _, pair in loaded for values in pair]
    if not arrays or not all(map(len, arrays)):
        return Part(title, "The weights of these rounds, or what they started from, cannot be read.")
    end = max(float(np.quantile(np.abs(values), 0.999)) for values in arrays) or 1.0
    edges = np.linspace(-end, end, 81)
    lines = [
        Line(f"{short(record)}, {when}", (edges[:-1] + edges[1:]) / 2, np.histogram(v, edges)[0] / len(v), colour, dash)
        for (record, pair), colour in zip(loaded, COLOURS)
        for v, when, dash in zip(pair, ("before training", "after training"), ("--", "-"))
    ]
    unit = f"share of the remaining weights in a bin of {edges[1] - edges[0]:.2g}"
    heading = f"{chain.label}, seed {records[0].seed}, at the last epoch"
    plot = Lines(heading, "value of the weight (no unit)", unit, lines, y_form="percent")
    return Part(title, "Weights that the masks keep; the outermost thousandth is cut off.", figures={"weights": plot})


def classes(chain: Chain, both: Sequence[Arm], called: str, found: Found) -> Part:
    """Confusion matrices of the dense network, of the ticket, and their difference; the accuracy of each class."""
    arms = [[r for r in arm.values() if r.test_confusion and r.classes] for arm in both]
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
    labels = [str(names[i]) for i in some]
    over = [f"{short(pairs[0][0])}, at the last epoch, {ends.seeds([len(pairs)])}" for pairs in loaded]
    few = [mean[np.ix_(some, some)] for mean in means]
    figures: dict[str, Plot] = {
        f"confusion_{key}": confusion(shares, labels, title) for key, shares, title in zip(("dense", "ticket"), few, over)
    }
    if len(few) == 2:
        less = confusion(few[1] - few[0], labels, f"{over[1]}, less the dense network")
        end = max(0.1, float(np.abs(less.z).max()))
        figures["confusion_difference"] = replace(
            less, unit="percentage points", form="{:+.1f}", ends=(-end, end), diverging=True
        )
    lines = [
        over_seeds(
            short(pairs[0][0]), range(len(some)), [[shares[i, i] for _, shares in pairs] for i in some], labels,
            dash="", marker="ox"[k], colour=COLOURS[k], spread_as="y",
        )
        for k, pairs in enumerate(loaded)
    ]  # fmt: skip
    heading = f"Accuracy of each class: {chain.label}, at the last epoch, {ends.seeds([len(pairs) for pairs in loaded])}"
    y = "test accuracy of the class"
    figures["classes"] = Lines(heading, "class", y, lines, "names", "percent", labels, note="bars: one standard deviation")
    if len(few) == 2:
        text += f" The ticket is the {called}."
    return Part("Classes", text, figures=figures)


def confusion(shares: np.ndarray, names: Sequence[str], title: str = "") -> Heat:
    """Return the plot of a confusion matrix, fractions of each true class (rows) that are predicted as each class."""
    z = 100 * np.asarray(shares)
    return Heat(title, "predicted class", "true class", "% of the true class", z, names, names, ends=(0.0, 100.0))
