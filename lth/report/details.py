"""What a page shows of one chain: learning curves, densities, masks, weights, classes and images."""

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lth.analysis import ends
from lth.analysis.pairs import Arm, first
from lth.errors import DataError
from lth.hashes import of_file
from lth.report.plot import COLOURS, GREY, Axis, Heat, Line, Lines, Plot, over_seeds, spread_out
from lth.report.scores import BARS, WEIGHTS, score_axis, short
from lth.tree import metrics
from lth.tree.predictions import test_images
from lth.tree.record import Found, Record

ROUNDS = 5  # whose learning curves are drawn
SEEDS, DEPTHS = 4, 12  # whose masks are read: overlaps are of pairs
CLASSES = 40  # in a confusion matrix: as many as have room for their names
IMAGES, SIDE = 12, 96  # images of a kind; pixels


@dataclass(frozen=True)
class Part:
    """A heading, finished ``inside`` HTML, plain ``text``, and figures: name of the file -> plot, None for nothing to show."""

    title: str
    text: str = ""
    figures: Mapping[str, Plot | None] = field(default_factory=dict)
    inside: str = ""


def load(records: Iterable[Record], name: str, read: Callable[[Path], Any], found: Found) -> list[tuple[Record, Any]]:
    """Return the records with an intact file of that name, each with what ``read`` makes of it; damaged ones are skipped."""
    results = []
    for record in records:
        try:
            if name in record.files:
                if of_file(record.folder / name) != record.files[name]:
                    raise ValueError(f"{name} does not match its hash")
                results.append((record, read(record.folder / name)))
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            found.skip(record.folder, f"its {name} cannot be read ({type(error).__name__}: {error})")
    return results


def curves(label: str, arms: Sequence[Arm], found: Found) -> Part:
    """Losses and accuracy while training."""
    loaded = [load(arm.values(), "metrics.csv", metrics.read, found) for arm in spread_out(arms, ROUNDS)]
    axes = {"train_loss": Axis("training loss, nats", "log"), "val_loss": Axis("validation loss, nats", "log")}
    axes["val_acc"] = score_axis([first(arm) for arm in arms], "validation accuracy")
    figures = {}
    for name, y in axes.items():
        lines = []
        for histories, colour in zip(loaded, COLOURS):
            rows = [row for _, history in histories for row in history]
            points = [(row["iteration"], math.nan if row[name] is None else row[name]) for row in rows]
            if points:
                lines.append(over_seeds(short(histories[0][0]), points, colour=colour))
        title = f"{label}: {y.title}, {ends.seeds([len(arm) for arm in arms])}"
        plot = Lines(title, Axis("iteration (optimiser steps)"), y, lines, BARS)
        figures[f"curves_{name}"] = plot if lines else None
    return Part("Learning curves", "Training loss is the mean over the batches of an epoch, in train mode.", figures)


def density(label: str, arms: Sequence[Arm]) -> Part:
    """The density of each layer (rows) in each round (columns)."""
    some = [arm for arm in spread_out(arms, 24) if first(arm).layers]
    names = list(first(some[-1]).layers) if some else []
    z = np.array([[100 * np.mean([record.layers[name] for record in arm.values()]) for arm in some] for name in names])
    rounds = Axis("round", "names", [str(first(arm).round * first(arm).levels) for arm in some])
    layers = Axis("layer, from input to output", "names", [name.removesuffix(".weight") for name in names])
    title = f"{label}: density after pruning, {ends.seeds([len(arm) for arm in some])}"
    plot = Heat(title, rounds, layers, "% of the layer's weights", z)
    return Part("Density by layer and round", figures={"density": plot if len(some) > 1 else None})


def overlap(label: str, arms: Sequence[Arm], found: Found) -> Part:
    """The Jaccard index of the masks of two seeds, beside what chance would give."""
    points, chance = [], {}
    for arm in spread_out([arm for arm in arms if first(arm).round and len(arm) > 1], DEPTHS):
        loaded = load(list(arm.values())[:SEEDS], "ticket.safetensors", _bits, found)
        for (record, one), (_, other) in combinations(loaded, 2):
            points.append((record.density, np.bitwise_count(one & other).sum() / np.bitwise_count(one | other).sum()))
            sizes, kept = (np.array([of[name] for name in record.layers]) for of in (record.layer_weights, record.layers))
            if record.layers:
                chance[record.density] = (sizes * kept**2).sum() / (sizes * kept * (2 - kept)).sum()
    if not points:
        return Part("Mask overlap")
    lines = [over_seeds("pairs of seeds", points, marker="o")]
    lines.append(Line("by chance, with the same density in each layer", list(chance), list(chance.values()), GREY, "--"))
    axis, note = Axis("intersection over union (0 to 1)"), f"means over n pairs of at most {SEEDS} seeds"
    plot = Lines(f"{label}: masks of two seeds", WEIGHTS, axis, lines, note)
    return Part("Mask overlap", "Jaccard index of the weights that two tickets keep.", {"overlap": plot})


def _bits(path: Path) -> np.ndarray:
    return np.concatenate([bits for _, bits in sorted(load_file(path).items())])


def histogram(label: str, both: Sequence[Arm], found: Found) -> Part:
    """How the remaining weights of the dense network and of the ticket spread, before and after training; of one seed."""
    seed, lines = min(set.intersection(*map(set, both)), default=None), []
    for record, colour in zip([arm[seed] for arm in both if seed in arm], COLOURS):
        names = ("ticket.safetensors", "start.safetensors", "final.safetensors")
        files = [state for name in names for _, state in load([record], name, load_file, found)]
        if len(files) == len(names):
            masks, *states = files
            kept = {name: np.unpackbits(bits, count=states[0][name].size).astype(bool) for name, bits in masks.items()}
            for state, when, dash in zip(states, ("before training", "after training"), ("--", "-")):
                flat = [(state[name].ravel(), mask) for name, mask in kept.items()]  # a compact file holds the kept ones alone
                weights = np.concatenate([values[mask] if values.size == mask.size else values for values, mask in flat])
                limits = np.quantile(weights, (0.0005, 0.9995))
                shares, edges = np.histogram(weights, 80, limits, density=True)
                lines.append(Line(f"{short(record)}, {when}", (edges[:-1] + edges[1:]) / 2, shares, colour, dash))
    x, y = Axis("value of the weight (no unit)"), Axis("probability density")
    plot = Lines(f"{label}: seed {seed}, at the last epoch", x, y, lines)
    text = "Weights that the masks keep; the outermost thousandth is cut off."
    return Part("Weights before and after training", text, {"weights": plot if lines else None})


def classes(label: str, both: Sequence[Arm], called: str) -> Part:
    """Confusion matrices of the dense network and of the ticket, and the accuracy of each class."""
    if not all(record.test_confusion for arm in both for record in arm.values()):
        return Part("Classes")
    counts = [np.array([record.test_confusion for record in arm.values()]) for arm in both]  # (seeds, true, predicted)
    shares = [some / np.maximum(1, some.sum(axis=2, keepdims=True)) for some in counts]
    means, names = [some.mean(axis=0) for some in shares], first(both[0]).classes
    most = np.sort(np.argsort(-np.abs(np.diag(means[-1] - means[0])), kind="stable")[:CLASSES])
    labels = [names[i] for i in most]
    figures: dict[str, Plot] = {}
    lines = []
    for i, (arm, some, mean) in enumerate(zip(both, shares, means)):
        title = f"{short(first(arm))}, {ends.seeds([len(arm)])}"
        figures[f"confusion_{'ticket' if i else 'dense'}"] = confusion(mean[np.ix_(most, most)], labels, title)
        points = [(x, accuracy) for x, k in enumerate(most) for accuracy in some[:, k, k]]
        style = {"dash": "", "marker": "ox"[i], "colour": COLOURS[i]}
        lines.append(over_seeds(short(first(arm)), points, dict(enumerate(labels)), **style))
    x, y = Axis("class", "names", labels), Axis("test accuracy of the class", "percent")
    figures["classes"] = Lines(f"{label}: accuracy of each class, at the last epoch", x, y, lines, BARS)
    text = "Test images at the last epoch." + f" The ticket is {called}." * (len(both) == 2)
    if len(most) < len(names):
        text += f" Of {len(names)} classes the {CLASSES} whose accuracies differ most."
    return Part("Classes", text, figures)


def confusion(shares: np.ndarray, names: Sequence[str], title: str = "") -> Heat:
    """Return the plot of a confusion matrix, fractions of each true class (rows) that are predicted as each class."""
    x, y = Axis("predicted class", "names", names), Axis("true class", "names", names)
    return Heat(title, x, y, "% of the true class", 100 * np.asarray(shares))


def images(both: Sequence[Arm], found: Found) -> Part:
    """How many images are lost and gained, summed over seeds, and some of them of the first seed."""
    title, results = "Images that the ticket loses and gains", []
    for seed in sorted(both[0].keys() & both[-1].keys()) if len(both) == 2 else ():
        predicted = load([arm[seed] for arm in both], "predictions.npy", np.load, found)
        if len(predicted) == 2:
            (_, before), (record, after) = predicted
            try:
                listed = test_images(record.folder, record.test)
            except DataError as error:
                found.skip(record.folder, str(error))
                continue
            was, stays = before == listed["labels"], after == listed["labels"]
            results.append((record, np.flatnonzero(was & ~stays), np.flatnonzero(stays & ~was), before, after, listed))
    if not results:
        return Part(title)
    lost, gained = (sum(len(result[k]) for result in results) for k in (1, 2))
    record, *kinds, before, after, listed = results[0]
    text = (
        f"At the last epoch, summed over seeds: of {len(results) * len(before)} test images the ticket of {record.density:.2%} "
        f"of weights loses {lost}, which the dense network predicts right, and gains {gained}, which that predicts wrong. At "
        f"most {IMAGES} of each of seed {record.seed} are shown."
    )
    inside = ""
    for kind, where in zip(("Lost", "Gained"), kinds):
        inside += f'<h4>{kind}</h4><ul class="images">'
        for i in spread_out(where, IMAGES):  # of all classes, not of the first
            label, dense, ticket = (record.classes[numbers[i]] for numbers in (listed["labels"], before, after))
            words = escape(f"{listed['paths'][i]}: {label}; dense network: {dense}; ticket: {ticket}")
            inside += f"<li>{_picture(Path(listed['root']), listed['paths'][i])}{words}</li>"
        inside += "</ul>"
    return Part(title, text, inside=inside)


def _picture(root: Path, path: str) -> str:
    """Return a small PNG of an image below ``root``, as HTML; '' for whatever is no image there."""
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        return ""
    try:
        small = Image.open(place).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "PNG")
    return f'<img src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}" alt="">'
