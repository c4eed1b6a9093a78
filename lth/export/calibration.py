"""Training images that calibrate a model in 8-bit integers."""

from pathlib import Path

import numpy as np

from lth.data.decode import to_unit
from lth.data.split import prepare
from lth.training.model import read_config

COUNT = 128


def images(folder: Path, root: Path | None = None) -> np.ndarray:
    """Return up to COUNT training images of a round, evenly spaced in the order of its folders, float32 (n, c, h, w) in [0, 1].

    Args:
        folder: of the round.
        root: where the folder of ``data.root`` is now, if it was moved.

    Raises:
        DataError: the images are no longer there.
    """
    config = read_config(folder / "config.yaml")
    if root is not None:
        config.data.root = str(root)
    splits = prepare(config.data)
    chosen = splits.train[np.linspace(0, len(splits.train) - 1, min(COUNT, len(splits.train))).astype(int)]
    return to_unit(splits.train_images.take(chosen))
