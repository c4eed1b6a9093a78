"""A whole epoch of ours against its pure forward, backward and optimiser steps, and against a plain ImageFolder loop."""

import statistics
import tempfile
import time
from itertools import pairwise

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Subset

from lth.config import Config, Data, Logger, Optim, Prune
from lth.data.module import ImageData
from lth.data.split import Splits, prepare
from lth.models import build as models
from lth.models.classifier import Classifier, build_optimizer
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training.callbacks import Reseed
from lth.training.search import search
from tests.benchmarks.timing import medians, parameters, pixels, show, train


def config(folder: str, **changes) -> Config:
    data = Data(name="scenes", train_per_class=250, test_per_class=50, cache=f"{folder}/cache")
    return Config(seed=0, outputs=folder, data=data, **changes)


class Marks(pl.Callback):
    """The times at which each training epoch began and ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.times.append(time.perf_counter())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.times.append(time.perf_counter())


def ours(conf: Config, splits: Splits) -> float:
    """Lightning, masks, per-image pixels from the decoded array, normalisation, metrics; no validation; the second epoch."""
    model = Classifier(models.build(conf, 6), conf.optim, 6)
    model.net.to(memory_format=torch.channels_last)
    params = dict(model.net.named_parameters())
    masks = {n: torch.rand(params[n].shape) < 0.5 for n in M.prunable(model.net)}
    ticket = LotteryTicket(None, target="net", masks=masks, init={n: t.clone() for n, t in model.net.state_dict().items()})
    marks = Marks()
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[ticket, Reseed(0), marks], limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, ImageData(splits, conf.data.batch_size, 0))
    return marks.times[3] - marks.times[2]


def pure(conf: Config, splits: Splits) -> float:
    """The physical limit: forward, backward and optimiser on batches that are already floats in memory."""
    net = models.build(conf, 6).net.to(memory_format=torch.channels_last)
    size, n = conf.data.batch_size, len(splits.train)
    images, labels = [pixels(size, 150) for _ in range(4)], torch.randint(0, 6, (size,))
    batches = [(images[k % 4][: n - k * size], labels[: n - k * size]) for k in range(-(-n // size))]
    optimizer = build_optimizer(Optim(), parameters(net))
    return medians({"pure": lambda: train(net, optimizer, batches)}, runs=1, warm=1)["pure"]


def plain(conf: Config, splits: Splits) -> float:
    """What people write: ImageFolder, ToTensor, Normalize, DataLoader(num_workers=2), torch's Adam, contiguous tensors."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    convert = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    root = splits.train_images.paths[0].parent.parent
    subset = Subset(ImageFolder(root, convert), splits.train.tolist())
    loader = DataLoader(subset, conf.data.batch_size, shuffle=True, num_workers=2, persistent_workers=True)
    net = models.build(conf, 6).net
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    return medians({"plain": lambda: train(net, optimizer, loader)}, runs=1, warm=1)["plain"]


def epoch() -> None:
    """Epoch / pure time, and beside it the plain loop (with the same allocator, so that only the pipeline differs)."""
    with tempfile.TemporaryDirectory() as folder:
        conf = config(folder, logger=Logger("none"))
        splits = prepare(conf.data)
        kinds = {"pure": pure, "ours": ours, "plain": plain}
        runs = [{name: function(conf, splits) for name, function in kinds.items()} for _ in range(3)]
    middle = {name: sorted(run[name] for run in runs)[1] for name in kinds}
    show(f"epoch of {len(splits.train)} images, simple_cnn at 150x150, batch 64", middle, "pure")


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
        search(config(folder, epochs=1, prune=Prune(rounds=4)), say=lambda line: None)
    gaps = [b - a for (x, a), (y, b) in pairwise(marks) if (x, y) == ("end", "begin")]
    print(f"\nround turn-around, simple_cnn, 300 test images: median {statistics.median(gaps):.2f} s of {len(gaps)}")
