"""Which class a round's network predicts for each test image: ``predictions.npy``, int64 (n), in test order.

The list of test images is one file for all rounds: ``outputs/tests/<hash>.json``, with ``root``, ``paths`` and ``labels``.
"""

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from lth.data.split import Splits
from lth.errors import DataError
from lth.hashes import of_test_images
from lth.tree import files


def write(folder: Path, predicted: np.ndarray, splits: Splits) -> str:
    """Write the predictions and the list of test images; return the hash of that list.

    Several ranks see a share of the images each: then nothing is written, and '' is returned.
    """
    if len(predicted) != len(splits.test):
        return ""
    content = io.BytesIO()
    np.save(content, predicted.astype(np.int64), allow_pickle=False)
    files.write_bytes(folder / "predictions.npy", content.getvalue())
    paths = [splits.test_images.paths[i] for i in splits.test]
    root = Path(os.path.commonpath([path.parent.parent for path in paths]))
    relative = [path.relative_to(root).as_posix() for path in paths]
    labels = splits.test_images.labels[splits.test].tolist()
    path = _list(folder, of_test_images(relative, labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, {"root": str(root.absolute()), "paths": relative, "labels": labels})
    return path.stem


def test_images(folder: Path, name: str) -> dict[str, Any]:
    """Return a round's list of test images: ``root``, ``paths``, ``labels``. Raises DataError where it is damaged or missing."""
    path = _list(folder, name)
    try:
        test = json.loads(path.read_bytes())
        intact = of_test_images(test["paths"], test["labels"]) == name and isinstance(test["root"], str)
    except (OSError, ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise DataError(f"the list of test images {path} is missing or damaged.")
    return test


def confusion(folder: Path, name: str, classes: int) -> list[list[int]]:
    """Return the test images counted by true class (rows) and predicted class. Raises DataError where their list is damaged."""
    labels = test_images(folder, name)["labels"]
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, np.load(folder / "predictions.npy", allow_pickle=False)), 1)
    return matrix.tolist()


def _list(folder: Path, name: str) -> Path:
    return folder.parent.parent / "tests" / f"{name}.json"
