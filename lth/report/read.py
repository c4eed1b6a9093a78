"""The files of rounds that a report reads, each checked against its hash in round.json. Masks stay packed, one bit a weight."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from lth.hashes import of_file, of_test_images
from lth.tree import metrics
from lth.tree.record import Found, Record

Masks = dict[str, np.ndarray]  # parameter -> uint8 (ceil(n / 8)), first weight in the highest bit, zeros at the end
ERRORS = (OSError, ValueError, KeyError, TypeError, IndexError, SafetensorError)  # TypeError: bfloat16, which numpy lacks


def each(records: Iterable[Record], read: Callable[[Record], Any], what: str, found: Found) -> list[tuple[Record, Any]]:
    """Return the records for which ``read`` works, each with its result; the others are skipped with a sentence on ``what``."""
    results = []
    for record in records:
        try:
            results.append((record, read(record)))
        except ERRORS as error:
            found.skip(record.folder, f"{what} cannot be read ({type(error).__name__}: {error})")
    return results


def intact(record: Record, name: str) -> Any:
    """Return the path of a round's file. Raises OSError or ValueError where it is missing or does not match its hash."""
    path, expected = record.folder / name, record.files.get(name)
    if expected and of_file(path) != expected:
        raise ValueError(f"{name} does not match its hash")
    return path


def history(record: Record) -> list[dict[str, float | None]]:
    """Return the rows of metrics.csv."""
    return metrics.read(intact(record, "metrics.csv"))


def masks(record: Record) -> Masks:
    """Return the packed masks of a ticket."""
    packed = _tensors(record, "ticket.safetensors")
    if any(mask.dtype != np.uint8 for mask in packed.values()):
        raise ValueError("its masks are not packed bits")
    return packed


def weights(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Return the remaining weights before and after training, float32 (kept,) each."""
    packed = masks(record)
    both = []
    for file in ("start.safetensors", "final.safetensors"):
        state = _tensors(record, file)
        parts = [state[name].ravel()[np.unpackbits(b, count=state[name].size).astype(bool)] for name, b in packed.items()]
        both.append(np.concatenate(parts).astype(np.float32))
    return both[0], both[1]


def _tensors(record: Record, name: str) -> dict[str, np.ndarray]:
    with safe_open(intact(record, name), "np") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def confusion(record: Record) -> np.ndarray:
    """Return the fractions of each true class (rows) that are predicted as each class (columns)."""
    counts = np.array(record.test_confusion, dtype=float)
    if counts.shape != (len(record.classes), len(record.classes)):
        raise ValueError(f"a confusion matrix of {counts.shape} for {len(record.classes)} classes")
    return counts / np.maximum(1, counts.sum(axis=1, keepdims=True))


def test_images(record: Record) -> dict[str, Any]:
    """Return the list of test images of a round: ``root``, ``paths`` below it and ``labels`` (class numbers)."""
    path = record.folder.parent.parent / "tests" / f"{record.test}.json"
    images = json.loads(path.read_bytes())
    if of_test_images(images["paths"], images["labels"]) != record.test:
        raise ValueError(f"{path.name} does not match its hash")
    return images


def predictions(record: Record) -> np.ndarray:
    """Return the predicted class numbers of the test images, int (n,)."""
    return np.load(intact(record, "predictions.npy"), allow_pickle=False)
