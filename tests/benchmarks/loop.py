"""A round of LeNet-300-100 on MNIST against a bare loop, and its validations against their forward passes. CPU seconds."""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from pytorch_lightning.loops.evaluation_loop import _EvaluationLoop

from lth.config import Config, Data, Model, Optim, Prune, Trainer
from lth.data.module import ImageData
from lth.models.build import build
from lth.tracking.remaining import Remaining
from lth.training.experiment import ImageExperiment
from lth.training.round import run
from lth.tree.store import Store
from tests.benchmarks import bare
from tests.benchmarks.timing import show

EPOCHS, RUNS = 4, 3


def config(root: str, outputs: str, cache: str) -> Config:
    data = Data(
        name="folder", root=root, image_size=28, channels=1, normalize="mnist", val_fraction=1 / 12, batch_size=60,
        cache=cache,
    )  # fmt: skip
    trainer = Trainer(accelerator="cpu", val_check_interval=100)
    return Config(0, epochs=EPOCHS, outputs=outputs, data=data, model=Model("lenet_300_100"), optim=Optim(lr=0.0012),
                  trainer=trainer, prune=Prune(rounds=0))  # fmt: skip


def cpu(function: Callable[[], object]) -> float:
    """Return the seconds that this process computes for a function, which other processes disturb least."""
    begin = time.process_time()
    function()
    return time.process_time() - begin


def ours(experiment: ImageExperiment) -> float:
    """Seconds of the dense round: training, tests, checks, files, curves and pictures."""
    task, [spec], store = experiment.task(lambda line: None), experiment.rounds(), Store(Path(experiment.config.outputs))
    return cpu(lambda: run(task, store, spec, "", Remaining(EPOCHS)))


def forward(experiment: ImageExperiment) -> float:
    """Seconds of the forward passes of a validation, with its batches as floats in memory."""
    conf, splits = experiment.config, experiment.splits
    data = ImageData(splits, conf.data.batch_size, 0, conf.data.normalize, channels=1)
    batches, net = [images for images, _ in bare.floats(data, data.val_dataloader())], build(conf, len(splits.classes)).net.eval()
    with torch.no_grad():
        return statistics.median(cpu(lambda: [net(images) for images in batches]) for _ in range(15))


def loop(root: str) -> None:
    """Print the ratios, of the folder ``root`` with MNIST as class folders in train/ and test/, on one thread."""
    torch.set_num_threads(1)
    validate, found = _EvaluationLoop.run, {"round": [], "bare": [], "validation": [], "forward": []}

    def timed(self) -> object:
        begin, out = time.process_time(), validate(self)
        if self.trainer.validating:
            found["validation"].append(time.process_time() - begin)
        return out

    with tempfile.TemporaryDirectory() as folder, patch.object(_EvaluationLoop, "run", timed):
        for k in range(RUNS + 1):
            experiment = ImageExperiment.of(config(root, f"{folder}/{k}", folder))
            found["round"].append(ours(experiment))
            found["bare"].append(cpu(partial(bare.train, experiment.config, experiment.splits, Path(folder, f"bare{k}"))))
            found["forward"].append(forward(experiment))
            if k == 0:  # imports, caches
                found = {name: [] for name in found}
    middle = {name: statistics.median(seconds) for name, seconds in found.items()}
    ratios = [a / b for a, b in zip(found["round"], found["bare"])]
    of = f"{EPOCHS} epochs of LeNet-300-100 on MNIST, validated every 100 steps: a round ({min(ratios):.2f} to {max(ratios):.2f})"
    show(of, {"bare loop": middle["bare"], "processor": middle["round"]}, "bare loop", RUNS)
    show("a validation", {"its forward passes": middle["forward"], "processor": middle["validation"]}, "its forward passes", RUNS)
