"""A round of a channel ticket, trained masked and without its pruned channels, one thread; the time of its processor."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.tracking.remaining import Remaining
from lth.training.experiment import ImageExperiment
from lth.training.fit import fit
from lth.training.round import run
from lth.training.small import fit_small
from lth.training.start import plan
from lth.tree.checkpoint import Checkpoint
from lth.tree.store import Store
from tests.benchmarks.timing import show
from tests.conftest import write_parts

CASES = {"simple_cnn": (150, 64, 200), "efficientnet_lite0": (128, 32, 60)}  # pixels, images of a batch and of a class


def small(turns: str = "5") -> None:
    """Print the medians of interleaved rounds of two epochs, each with validation and test, at half of each group's channels."""
    torch.set_num_threads(1)
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            ways = _ways(name, *case, folder)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for turn in range(int(turns) + 1):
                for way, function in ways.items():
                    begin = time.process_time()
                    function()
                    times[way] += [time.process_time() - begin] if turn else []  # the first ones warm up
        middle = {way: statistics.median(found) for way, found in times.items()}
        show(f"round with half of the channels, {name} at {case[0]}x{case[0]}, processor", middle, "masked", int(turns))


def _ways(name: str, size: int, batch: int, images: int, folder: str) -> dict[str, Callable[[], object]]:
    root = str(write_parts(Path(folder) / "images", images, images // 5))
    config = Config(
        epochs=2,
        outputs=folder,
        data=Data("folder", root, image_size=size, batch_size=batch, cache=f"{folder}/cache"),
        model=Model(name),
        prune=Prune(rounds=1, rate=0.5, structure="channels", allocation="layerwise"),
        logger=Logger("none"),
        trainer=Trainer("cpu"),
    )
    experiment, store = ImageExperiment.of(config), Store(Path(folder))
    task, (dense, ticket) = experiment.task(print), experiment.tickets()
    run(task, store, dense, "dense", Remaining(2))
    start = plan(ticket, task, store, Checkpoint(0, {}))
    return {"masked": lambda: fit(task, start, 2, "masked"), "small": lambda: fit_small(task, start, 2, "small")}
