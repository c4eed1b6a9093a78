"""Figures of rounds, of scores by class and of images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lth.analysis import ends
from lth.report import chains, draw


def accuracy(records: Sequence[dict[str, Any]], title: str = "", accuracy: str = ends.EARLY_STOP) -> Figure:
    """Test accuracy at an end point (of ``ends.ENDS``) against weights remaining (log axis, dense at the left).

    One solid line a chain of tickets, one broken line a control: the mean over seeds, with a band of one standard
    deviation. The dense network is a dashed horizontal, the same network trained for more epochs a dotted one.
    """
    return draw.lines(chains.accuracy(records, title, accuracy))


def early_stop(records: Sequence[dict[str, Any]], title: str = "") -> Figure:
    """The iteration of least validation loss against weights remaining: how fast tickets learn; lines as in ``accuracy``.

    Dense networks trained for more epochs are left out.
    """
    return draw.lines(chains.early_stop(records, title))


def confusion(matrix: np.ndarray, classes: Sequence[str]) -> Figure:
    """The confusion matrix, counts (truth, given), coloured by the fraction of each true class."""
    side = 2.2 + 0.5 * len(classes)
    figure = Figure(figsize=(side + 0.6, side), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 20:
        for i, j in np.ndindex(matrix.shape):
            axes.text(
                j, i, f"{matrix[i, j]}", ha="center", va="center", fontsize=9, color="white" if share[i, j] > 0.5 else "black"
            )
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right", parse_math=False)
    axes.set_yticks(range(len(classes)), classes, parse_math=False)
    axes.set_xlabel("given")
    axes.set_ylabel("truth")
    figure.colorbar(picture, label="fraction of the true class", shrink=0.8)
    return figure


def gallery(images: np.ndarray, titles: Sequence[str], columns: int = 4) -> Figure:
    """Images uint8 (n, h, w, 1 or 3) in a grid with a title each."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.3 * rows), dpi=100, layout="constrained")
    for i, (image, title) in enumerate(zip(images, titles), start=1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.axis("off")
    return figure
