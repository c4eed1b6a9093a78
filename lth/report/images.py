"""Images that a ticket loses (the dense network predicts them right) and gains, where rounds keep what they predicted."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lth.analysis import ends
from lth.analysis.pairs import Arm, first
from lth.report import read
from lth.report.details import Part
from lth.report.plot import spread_out
from lth.tree.record import Found, Record

SHOWN, SIDE = 12, 96  # images of a kind; pixels
Changes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


def changes(dense: Record, ticket: Record) -> Changes:
    """Return which test images a ticket loses and which it gains, int (k,) each, both predictions and the list of images.

    Raises one of ``read.ERRORS`` where predictions or the list cannot be read.
    """
    before, after, images = read.predictions(dense), read.predictions(ticket), read.test_images(ticket)
    labels = np.array(images["labels"], dtype=int)
    if not len(labels) == len(images["paths"]) == len(before) == len(after):
        raise ValueError("predictions and test images differ in number")
    lost, gained = (before == labels) & (after != labels), (before != labels) & (after == labels)
    return np.flatnonzero(lost), np.flatnonzero(gained), before, after, images


def part(both: Sequence[Arm], found: Found) -> Part:
    """How many images are lost and gained, summed over seeds, and some of them of the first seed."""
    title = "Images that the ticket loses and gains"
    if len(both) < 2 or first(both[0]).round:
        return Part(title, "There is no ticket together with its dense network.")
    dense, tickets = both
    records = [r for seed, r in tickets.items() if seed in dense and r.test and r.classes and "predictions.npy" in r.files]
    results = read.each(records, lambda r: changes(dense[r.seed], r), "its predictions", found)
    if not results:
        return Part(title, "These rounds do not keep what they predicted for each image, so this cannot be shown.")
    lost, gained = (sum(len(result[k]) for _, result in results) for k in (0, 1))
    record, (*kinds, before, after, images) = results[0]
    over = ends.seeds([len(results)]).replace("mean over", "summed over")
    text = (
        f"At the last epoch, {over}: of {len(results) * len(before)} test images the ticket of {record.density:.2%} of weights "
        f"loses {lost}, which the dense network predicts right, and gains {gained}, which that predicts wrong."
        f" At most {SHOWN} of each of seed {record.seed} are shown."
    )
    names = [str(name) for name in record.classes]
    pictures = [_list(kind, where, names, before, after, images) for kind, where in zip(("Lost", "Gained"), kinds)]
    return Part(title, text, "".join(pictures))


def _list(title: str, where: np.ndarray, names: list[str], before: np.ndarray, after: np.ndarray, images: dict) -> str:
    items = []
    for i in spread_out(where, SHOWN):  # of all classes, not of the first
        path, (label, dense, ticket) = str(images["paths"][i]), (names[k[i]] for k in (images["labels"], before, after))
        words = escape(f"{path}: {label}; dense network: {dense}; ticket: {ticket}")
        items.append(f"<li>{_picture(Path(str(images.get('root', ''))), path)}{words}</li>")
    return f'<h4>{title}</h4><ul class="images">{"".join(items)}</ul>' if items else ""


def _picture(root: Path, path: str) -> str:
    """A small PNG of an image below ``root``, as HTML; '' for whatever is no image there."""
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        return ""
    try:
        with Image.open(place) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return ""
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "PNG")
    return f'<img src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}" alt="">'
