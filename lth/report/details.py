"""What a page shows of one chain: learning curves, densities, masks, weights and classes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lth.analysis import ends
from lth.analysis.pairs import Arm, first
from lth.hashes import of_file
from lth.report.plot import COLOURS, GREY, PUOR, Axis, Heat, Line, Lines, Plot, over_seeds, spread_out
from lth.report.scores import BARS, WEIGHTS, score_axis, short
from lth.tree import metrics
from lth.tree.record import Found, Record

SHOWN, DRAWN = 4, len(COLOURS)  # learning curves that are shown at first, and that can be chosen
SEEDS, DEPTHS = 4, 12  # whose masks are read: overlaps are of pairs
CLASSES = 40  # in a confusion matrix: as many as have room for their names


@dataclass(frozen=True)
class Part:
    """A heading with plain ``text``, then finished ``inside`` HTML, then figures: name of the file -> plot."""

    title: str
    text: str = ""
    inside: str = ""
    figures: dict[str, Plot] = field(default_factory=dict)


def load(records: Iterable[Record], name: str, read: Callable[[Path], Any], found: Found) -> list[tuple[Record, Any]]:
    """Return the records whose file of that name is intact, each with what ``read`` makes of it; the others are skipped by name."""
    results = []
    for record in records:
        try:
            if of_file(record.folder / name) != record.files[name]:
                raise ValueError(f"{name} does not match its hash")
            results.append((record, read(record.folder / name)))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            found.skip(record.folder, f"its {name} cannot be read ({type(error).__name__}: {error})")
    return results


def curves(label: str, arms: Sequence[Arm], found: Found) -> Part | None:
    """Losses and accuracy while training."""
    some = spread_out(arms, DRAWN)
    shown = spread_out(range(len(some)), SHOWN)
    loaded = [load(arm.values(), "metrics.csv", metrics.read, found) for arm in some]
    figures = {}
    for name, y in (
        ("train_loss", Axis("training loss, nats", "log")),
        ("val_loss", Axis("validation loss, nats", "log")),
        ("val_acc", score_axis([first(arm) for arm in arms], "validation accuracy")),
    ):
        lines = []
        for i, histories in enumerate(loaded):
            rows = [row for _, history in histories for row in history]
            points = [(row["iteration"], np.nan if row[name] is None else row[name]) for row in rows]
            if points:
                lines.append(over_seeds(short(first(some[i])), points, colour=COLOURS[i], shown=i in shown))
        if lines:
            figures[f"curves_{name}"] = Lines(f"{label}: {y.title}", Axis("iteration (optimiser steps)"), y, lines, BARS)
    text = "Training loss is the mean over the batches of an epoch, in train mode."
    return Part("Learning curves", text, figures=figures) if figures else None


def density(label: str, arms: Sequence[Arm]) -> Part | None:
    """The density of each layer (rows) in each round (columns)."""
    some = [arm for arm in spread_out(arms, 24) if first(arm).layers]
    if not some or not first(some[-1]).round:
        return None
    names = list(first(some[-1]).layers)
    z = np.array([[100 * np.mean([record.layers[name] for record in arm.values()]) for arm in some] for name in names])
    rounds = Axis("round", "names", [str(first(arm).round * first(arm).levels) for arm in some])
    layers = Axis("layer, from input to output", "names", [name.removesuffix(".weight") for name in names])
    title = f"{label}: density after pruning, {ends.seeds([len(arm) for arm in some])}"
    return Part("Density by layer and round", figures={"density": Heat(title, rounds, layers, "% of the layer's weights", z)})


def overlap(label: str, arms: Sequence[Arm], found: Found) -> Part | None:
    """The Jaccard index of the masks of two seeds, beside what chance would give."""
    points, chance = [], {}
    for arm in spread_out([arm for arm in arms if first(arm).round and len(arm) > 1], DEPTHS):
        loaded = load(list(arm.values())[:SEEDS], "ticket.safetensors", _bits, found)
        for (record, one), (_, other) in combinations(loaded, 2):
            points.append((record.density, np.bitwise_count(one & other).sum() / np.bitwise_count(one | other).sum()))
            sizes, kept = (np.array([of[name] for name in record.layers]) for of in (record.layer_weights, record.layers))
            chance[record.density] = (sizes * kept**2).sum() / (sizes * kept * (2 - kept)).sum()
    if not points:
        return None
    lines = [over_seeds("pairs of seeds", points, marker="o")]
    lines.append(Line("by chance, with the same density in each layer", list(chance), list(chance.values()), GREY, "--"))
    axis, note = Axis("intersection over union (0 to 1)"), f"means over n pairs of at most {SEEDS} seeds"
    plot = Lines(f"{label}: masks of two seeds", WEIGHTS, axis, lines, note)
    return Part("Mask overlap", "Jaccard index of the weights that two tickets keep.", figures={"overlap": plot})


def _bits(path: Path) -> np.ndarray:
    return np.concatenate([bits for _, bits in sorted(load_file(path).items())])


def histogram(label: str, both: Sequence[Arm], found: Found) -> Part | None:
    """How the remaining weights of the dense network and of the ticket spread, before and after training; of one seed."""
    seed = min(set.intersection(*map(set, both)), default=None)
    lines = []
    for arm, colour in zip(both, COLOURS):
        names = ("ticket.safetensors", "start.safetensors", "final.safetensors")
        files = [state for name in names for _, state in load([arm[seed]] if seed in arm else [], name, load_file, found)]
        if len(files) < len(names):
            continue
        masks, *states = files
        kept = {name: np.unpackbits(bits, count=states[0][name].size).astype(bool) for name, bits in masks.items()}
        for state, when, dash in zip(states, ("before training", "after training"), ("--", "-")):
            weights = np.concatenate([state[name].ravel()[mask] for name, mask in kept.items()])
            counts, edges = np.histogram(weights, np.linspace(*np.quantile(weights, (0.0005, 0.9995)), 81))
            middles, density = (edges[:-1] + edges[1:]) / 2, counts / len(weights) / np.diff(edges)
            lines.append(Line(f"{short(first(arm))}, {when}", middles, density, colour, dash))
    if not lines:
        return None
    x, y = Axis("value of the weight (no unit)"), Axis("probability density")
    plot = Lines(f"{label}: seed {seed}, at the last epoch", x, y, lines)
    text = "Weights that the masks keep; the outermost thousandth is cut off."
    return Part("Weights before and after training", text, figures={"weights": plot})


def classes(label: str, both: Sequence[Arm], called: str) -> Part | None:
    """Confusion matrices of the dense network, of the ticket, and their difference; the accuracy of each class."""
    records = [record for arm in both for record in arm.values()]
    if not all(record.test_confusion for record in records):
        return None
    counts = [np.array([record.test_confusion for record in arm.values()]) for arm in both]  # (seeds, true, predicted)
    shares = [some / np.maximum(1, some.sum(axis=2, keepdims=True)) for some in counts]
    means, names, text = [some.mean(axis=0) for some in shares], records[0].classes, "Test images at the last epoch."
    most = np.arange(len(names))
    if len(names) > CLASSES:
        most = np.sort(np.argsort(-np.abs(np.diag(means[-1] - means[0])), kind="stable")[:CLASSES])
        text += f" Of {len(names)} classes the {CLASSES} whose accuracies differ most."
    labels, few = [names[i] for i in most], [mean[np.ix_(most, most)] for mean in means]
    titles = [f"{short(first(arm))}, {ends.seeds([len(arm)])}" for arm in both]
    matrices = [confusion(matrix, labels, title) for matrix, title in zip(few, titles)]
    figures: dict[str, Plot] = dict(zip(("confusion_dense", "confusion_ticket"), matrices))
    if len(few) == 2:
        text += f" The ticket is {called}."
        end = max(0.1, 100 * float(np.abs(few[1] - few[0]).max()))
        style = {"unit": "percentage points", "form": "+.1f", "ends": (-end, end), "colours": PUOR}
        less = confusion(few[1] - few[0], labels, f"{titles[1]}, less the dense network")
        figures["confusion_difference"] = replace(less, **style)
    lines = []
    for i, (arm, some) in enumerate(zip(both, shares)):
        points = [(x, accuracy) for x, k in enumerate(most) for accuracy in some[:, k, k]]
        style = {"dash": "", "marker": "ox"[i], "colour": COLOURS[i]}
        lines.append(over_seeds(short(first(arm)), points, dict(enumerate(labels)), **style))
    x, y = Axis("class", "names", labels), Axis("test accuracy of the class", "percent")
    figures["classes"] = Lines(f"{label}: accuracy of each class, at the last epoch", x, y, lines, BARS)
    return Part("Classes", text, figures=figures)


def confusion(shares: np.ndarray, names: Sequence[str], title: str = "") -> Heat:
    """Return the plot of a confusion matrix, fractions of each true class (rows) that are predicted as each class."""
    x, y = Axis("predicted class", "names", names), Axis("true class", "names", names)
    return Heat(title, x, y, "% of the true class", 100 * np.asarray(shares))
