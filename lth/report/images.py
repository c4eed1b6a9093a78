"""Images that a ticket loses (the dense network predicts them right) and gains, where rounds keep what they predicted."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from lth.analysis import ends
from lth.analysis.pairs import Arm
from lth.errors import DataError
from lth.report.details import Part, load
from lth.report.plot import spread_out
from lth.tree.predictions import test_images
from lth.tree.record import Found

SHOWN, SIDE = 12, 96  # images of a kind; pixels


def part(both: Sequence[Arm], found: Found) -> Part | None:
    """How many images are lost and gained, summed over seeds, and some of them of the first seed."""
    results = []
    for seed in sorted(both[0].keys() & both[-1].keys()) if len(both) == 2 else ():
        pair = [arm[seed] for arm in both if "predictions.npy" in arm[seed].files]
        predicted = load(pair, "predictions.npy", np.load, found)
        if len(predicted) == 2:
            (_, before), (record, after) = predicted
            try:
                images = test_images(record.folder, record.test)
            except DataError as error:
                found.skip(record.folder, str(error))
                continue
            was, stays = before == images["labels"], after == images["labels"]
            results.append((record, np.flatnonzero(was & ~stays), np.flatnonzero(stays & ~was), before, after, images))
    if not results:
        return None
    record, lost, gained, before, after, images = results[0]
    text = (
        f"At the last epoch, {ends.seeds([len(results)]).replace('mean', 'summed')}: of {len(results) * len(before)} test images "
        f"the ticket of {record.density:.2%} of weights loses {sum(len(result[1]) for result in results)}, which the dense network "
        f"predicts right, and gains {sum(len(result[2]) for result in results)}, which that predicts wrong. At most {SHOWN} of "
        f"each of seed {record.seed} are shown."
    )
    inside = ""
    for title, where in (("Lost", lost), ("Gained", gained)):
        items = []
        for i in spread_out(where, SHOWN):  # of all classes, not of the first
            label, dense, ticket = (record.classes[numbers[i]] for numbers in (images["labels"], before, after))
            words = escape(f"{images['paths'][i]}: {label}; dense network: {dense}; ticket: {ticket}")
            items.append(f"<li>{_picture(Path(images['root']), images['paths'][i])}{words}</li>")
        inside += f'<h4>{title}</h4><ul class="images">{"".join(items)}</ul>' if items else ""
    return Part("Images that the ticket loses and gains", text, inside)


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
