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
    """Write the predictions, class numbers, to a round's folder, and the list of test images; return that list's hash.

    Several ranks see a share of the images each: then nothing is written, and '' is returned.
    """
    if len(predicted) != len(splits.test):
        return ""
    content = io.BytesIO()
    np.save(content, predicted.astype(np.int64), allow_pickle=False)
    files.write_bytes(folder / "predictions.npy", content.getvalue())
    paths = [splits.test_images.paths[i] for i in splits.test]
    root = Path(os.path.commonpath([path.parent.parent for path in paths]))
    test = {
        "paths": [path.relative_to(root).as_posix() for path in paths],
        "labels": splits.test_images.labels[splits.test].tolist(),
    }
    name = of_test_images(**test)
    try:
        test_images(folder, name)
    except DataError:
        path = _path(folder, name)
        files.remove(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {"root": str(root.absolute()), **test})
    return name


def test_images(folder: Path, name: str) -> dict[str, Any]:
    """Return a round's list of test images: ``root``, ``paths``, ``labels``. Raises DataError where it is damaged or missing."""
    path = _path(folder, name)
    try:
        test = json.loads(path.read_bytes())
        if of_test_images(test["paths"], test["labels"]) != name or not isinstance(test["root"], str):
            raise ValueError("it does not match its hash")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"the list of test images {path} is missing or damaged ({type(error).__name__}: {error}).") from error
    return test


def confusion(folder: Path, name: str, classes: int) -> list[list[int]]:
    """Return the test images counted by true class (rows) and predicted class. Raises DataError where their list is damaged."""
    labels = np.array(test_images(folder, name)["labels"])
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (labels, np.load(folder / "predictions.npy", allow_pickle=False)), 1)
    return matrix.tolist()


def _path(folder: Path, name: str) -> Path:
    return folder.parent.parent / "tests" / f"{name}.json"
