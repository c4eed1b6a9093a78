"""What a network takes each test image for, kept for those who want to see which images a ticket loses."""

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


def write(folder: Path, given: np.ndarray, splits: Splits) -> str:
    """Write ``predictions.npy``, int64 (n), class numbers in test order, beside the round, and once for all rounds the list
    of test images; returns that list's name. Several ranks see a share of the images each: then nothing is written, and ''."""
    if len(given) != len(splits.test):
        return ""
    content = io.BytesIO()
    np.save(content, given.astype(np.int64), allow_pickle=False)
    files.write_bytes(folder / "predictions.npy", content.getvalue())
    paths = [splits.test_images.paths[i] for i in splits.test]
    root = os.path.commonpath([path.parent.parent for path in paths])
    test = {
        "paths": [path.relative_to(root).as_posix() for path in paths],
        "labels": splits.test_images.labels[splits.test].tolist(),
    }
    name = of_test_images(**test)
    place = folder.parent.parent / "tests" / f"{name}.json"
    if not _whole(place, test):
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(place, {"root": str(Path(root).absolute()), **test})
    return name


def confusion(folder: Path, name: str, classes: int) -> list[list[int]]:
    """Test images counted by true class (rows) and by the class that ``write`` noted; ``name``: of the list of test images.

    Raises DataError where that list is not what was written.
    """
    place = folder.parent.parent / "tests" / f"{name}.json"
    try:
        found = json.loads(place.read_bytes())
        paths, labels = found["paths"], found["labels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the list of test images {place} is missing or damaged ({type(error).__name__}: {error}).") from error
    if of_test_images(paths, labels) != name:
        raise DataError(f"the list of test images {place} is damaged: it does not match its hash.")
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (np.array(labels), np.load(folder / "predictions.npy", allow_pickle=False)), 1)
    return matrix.tolist()


def _whole(place: Path, test: dict[str, Any]) -> bool:
    """Whether a list is there that says the same, wherever its images lay."""
    if not place.exists():
        return False
    try:
        found = json.loads(place.read_bytes())
        if {part: found[part] for part in test} == test and isinstance(found["root"], str):
            return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    files.give_up(place, "it is written again")
    return False
