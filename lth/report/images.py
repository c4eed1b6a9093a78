"""Images that a ticket loses and gains, where rounds keep what they predicted.

``rounds/<name>-<key>/predictions.npy``: int64 (n), the class given to each test image, in test order.
``tests/<id>.json``: ``{"root": folder, "paths": [n relative paths], "labels": [n]}``; a round.json names it as ``test``,
which is a hash of paths and labels.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lth.hashes import of_test_images
from lth.report.read import Found, Record, intact, whole

SHOWN, SIDE = 12, 96  # images of a kind; pixels


@dataclass(frozen=True)
class Case:
    """A test image, and what both networks take it for; ``picture`` is a data URI, '' where there is no such file."""

    path: str
    truth: str
    dense: str
    ticket: str
    picture: str


@dataclass(frozen=True)
class Changes:
    """How many images of ``n`` the ticket loses and gains, and the first of them."""

    n: int
    losses: int
    gains: int
    lost: list[Case]
    gained: list[Case]


def changes(dense: Record, ticket: Record, found: Found) -> Changes | None:
    """What the ticket gets wrong that the dense network got right, and the reverse; None where predictions are absent."""
    try:
        given = [_predictions(record) for record in (dense, ticket)]
        if any(one is None for one in given) or not ticket["test"]:
            return None
        test = _listed(ticket)
        names, labels = [str(name) for name in whole(ticket)["classes"]], np.array(test["labels"], dtype=int)
        if not len(labels) == len(test["paths"]) == len(given[0]) == len(given[1]):
            raise ValueError("predictions and test images differ in number")
        return _compare(*given, labels, names, test)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        found.skip(ticket["folder"], f"its predictions cannot be read ({type(error).__name__}: {error})")
        return None


def _predictions(record: Record) -> np.ndarray | None:
    name = "predictions.npy"
    there = (record["folder"] / name).exists() or name in (record["files"] or {})
    return np.load(intact(record, name), allow_pickle=False) if there else None


def _listed(record: Record) -> dict[str, Any]:
    """The list of test images that a round names; raises OSError, ValueError or KeyError where it is not what was written."""
    name = Path(str(record["test"])).name
    test = json.loads((record["folder"].parent.parent / "tests" / f"{name}.json").read_bytes())
    if of_test_images(test["paths"], test["labels"]) != name:
        raise ValueError("the list of test images is not what was written")
    return test


def _compare(dense: np.ndarray, ticket: np.ndarray, labels: np.ndarray, names: list[str], test: dict) -> Changes:
    lost = np.flatnonzero((dense == labels) & (ticket != labels))
    gained = np.flatnonzero((dense != labels) & (ticket == labels))

    def cases(where: np.ndarray) -> list[Case]:
        some = where[np.linspace(0, len(where) - 1, min(SHOWN, len(where))).astype(int)]  # of all classes, not of the first
        return [
            Case(
                str(test["paths"][i]), names[labels[i]], names[dense[i]], names[ticket[i]],
                _picture(Path(str(test.get("root", ""))), str(test["paths"][i])),
            )
            for i in some
        ]  # fmt: skip

    return Changes(len(labels), len(lost), len(gained), cases(lost), cases(gained))


def _picture(root: Path, path: str) -> str:
    """A small PNG of an image under ``root``, as a data URI; '' for whatever is not an image there."""
    whole = (root / path).resolve()
    if not whole.is_relative_to(root.resolve()):
        return ""
    try:
        with Image.open(whole) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError):
        return ""
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
