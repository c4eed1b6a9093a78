"""A whole epoch of a round against its pure forward, backward and optimiser steps; what lies between two rounds."""

import statistics
import tempfile
import time
from itertools import pairwise
from unittest.mock import patch

import torch

from lth.config import Config, Data, Model, Optim, Prune
from lth.data.split import prepare
from lth.models import build as models
from lth.models.classifier import build_optimizer
from lth.training.callbacks import Reseed
from lth.training.search import search
from lth.tree import metrics
from tests.benchmarks.timing import medians, parameters, pixels, show, train


def ours(conf: Config) -> float:
    """Seconds of the last epoch of a ticket's round, without its validation."""
    ticket = search(conf, say=lambda line: None)[-1]
    return ticket.images["train"] / metrics.read(ticket.folder / "metrics.csv")[-1]["images_per_second"]


def pure(conf: Config, images: int) -> float:
    """The physical limit: forward, backward and optimiser on batches that are already floats in memory."""
    net = models.build(conf, 6).net.to(memory_format=torch.channels_last)
    size = conf.data.batch_size
    some, labels = [pixels(size, 150) for _ in range(4)], torch.randint(0, 6, (size,))
    batches = [(some[k % 4][: images - k * size], labels[: images - k * size]) for k in range(-(-images // size))]
    optimizer = build_optimizer(Optim(), parameters(net))
    return medians({"pure": lambda: train(net, optimizer, batches)}, 1, 1, time.process_time)["pure"]


def epoch(per_class: str = "250", runs: str = "3") -> None:
    """An epoch of a round (batches, masks, metrics, curves, Lightning) / pure time; the processor's time, on all threads."""
    for name in ("simple_cnn", "resnet18"):
        ways: dict[str, list[float]] = {"pure": [], "a round's": []}
        with tempfile.TemporaryDirectory() as folder, patch("time.perf_counter", time.process_time):
            data = Data(name="scenes", train_per_class=int(per_class), test_per_class=10, cache=f"{folder}/cache")
            images = len(prepare(data).train)
            for k in range(int(runs)):
                model, prune, outputs = Model(name), Prune(rounds=1, rate=0.5), f"{folder}/{k}"
                conf = Config(seed=0, outputs=outputs, epochs=2, data=data, model=model, prune=prune)
                ways["pure"].append(pure(conf, images))
                ways["a round's"].append(ours(conf))
        middle = {way: statistics.median(seconds) for way, seconds in ways.items()}
        show(f"epoch of {images} images, {name} at 150x150, batch 64", middle, "pure", int(runs))


def turnaround() -> None:
    """From the end of a round's last epoch to the next one's first batch: test, checks, files, TensorBoard, ranking, rewind."""
    marks: list[tuple[str, float]] = []

    def mark(name: str, hook: str) -> None:
        original = getattr(Reseed, hook, None)

        def marked(self, *args) -> None:
            marks.append((name, time.perf_counter()))
            if original is not None:
                original(self, *args)

        setattr(Reseed, hook, marked)

    mark("end", "on_train_epoch_end")
    mark("begin", "on_train_batch_start")
    with tempfile.TemporaryDirectory() as folder:
        data = Data(name="scenes", train_per_class=250, test_per_class=50, cache=f"{folder}/cache")
        search(Config(seed=0, outputs=folder, epochs=1, data=data, prune=Prune(rounds=4)), say=lambda line: None)
    gaps = [b - a for (x, a), (y, b) in pairwise(marks) if (x, y) == ("end", "begin")]
    between = "from a round's last epoch to the next one's first batch, simple_cnn, 300 test images"
    show(between, {"median": statistics.median(gaps)}, "median", len(gaps))
