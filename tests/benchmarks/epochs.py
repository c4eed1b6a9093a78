"""A whole epoch of ours against its pure forward, backward and optimiser steps, and against a plain ImageFolder loop."""

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from lth.config import Config, Data, Logger, Model, Optim, Prune
from lth.data.module import ImageData
from lth.data.split import Splits, prepare
from lth.models import build as models
from lth.models.classifier import Classifier, build_optimizer
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training import device
from lth.training.callbacks import Reseed
from lth.training.search import search

EPOCHS = 3


def config(folder: Path, **changes) -> Config:
    data = Data(name="scenes", train_per_class=250, test_per_class=50, cache=str(folder / "cache"))
    return Config(seed=0, outputs=str(folder), data=data, logger=Logger("none"), **changes)


class EpochTimes(pl.Callback):
    """Seconds of each training epoch, the first one left out."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begin = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.times.append(time.perf_counter() - self.begin)


def ours(conf: Config, splits: Splits) -> float:
    """Lightning, masks, per-image pixels from the decoded array, normalisation, metrics; no validation."""
    model = Classifier(models.build(conf, 6), conf.optim, 6)
    model.net.to(memory_format=torch.channels_last)
    times = EpochTimes()
    params = dict(model.net.named_parameters())
    masks = {n: torch.rand(params[n].shape) < 0.5 for n in M.prunable(model.net)}
    ticket = LotteryTicket(None, target="net", masks=masks, init={n: t.clone() for n, t in model.net.state_dict().items()})
    trainer = pl.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", callbacks=[ticket, Reseed(0), times], limit_val_batches=0, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, ImageData(splits, conf.data.batch_size, 0))
    return statistics.median(times.times[1:])


def pure(conf: Config, splits: Splits) -> float:
    """The physical limit: forward, backward and optimiser on batches that are already floats in memory."""
    net = models.build(conf, 6).net.to(memory_format=torch.channels_last)
    optimizer = build_optimizer(Optim(), list(net.parameters()))
    size, n = conf.data.batch_size, len(splits.train)
    batches = [torch.randn(size, 3, 150, 150).contiguous(memory_format=torch.channels_last) for _ in range(4)]
    labels = torch.randint(0, 6, (size,))
    times = []
    for _ in range(EPOCHS):
        begin = time.perf_counter()
        for k in range(-(-n // size)):
            part = slice(0, min(size, n - k * size))
            optimizer.zero_grad()
            F.cross_entropy(net(batches[k % 4][part]), labels[part]).backward()
            optimizer.step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def plain(conf: Config, splits: Splits) -> float:
    """What people write: ImageFolder, ToTensor, Normalize, DataLoader(num_workers=2), torch's Adam, contiguous tensors."""
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    convert = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    root = splits.train_images.paths[0].parent.parent
    subset = torch.utils.data.Subset(ImageFolder(root, convert), splits.train.tolist())
    loader = DataLoader(subset, conf.data.batch_size, shuffle=True, num_workers=2, persistent_workers=True)
    net = models.build(conf, 6).net
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    times = []
    for _ in range(EPOCHS):
        begin = time.perf_counter()
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])


def epoch() -> None:
    """Epoch / pure time, and beside it the plain loop (with the same allocator, so that only the pipeline differs)."""
    device.prepare(deterministic=False)
    with tempfile.TemporaryDirectory() as folder:
        conf = config(Path(folder))
        splits = prepare(conf.data)
        found: dict[str, list[float]] = {"pure": [], "ours": [], "plain": []}
        for _ in range(3):
            for name, function in (("pure", pure), ("ours", ours), ("plain", plain)):
                found[name].append(function(conf, splits))
        base = statistics.median(found["pure"])
        print(f"\nepoch of {len(splits.train)} images, simple_cnn at 150x150, batch 64")
        for name, values in found.items():
            print(f"  {name:8s} {statistics.median(values):8.2f} s   {statistics.median(values) / base:6.3f}")


def turnaround() -> None:
    """From the end of a round's last epoch to the next one's first batch: test, proofs, files, board, ranking, rewind."""
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
        conf = config(Path(folder), epochs=1, prune=Prune(rounds=4), model=Model())
        conf.logger.name = "tensorboard"
        search(conf, say=lambda line: None)
    gaps = [b - a for (x, a), (y, b) in pairwise(marks) if (x, y) == ("end", "begin")]
    print(f"\nround turn-around, simple_cnn, 300 test images: median {statistics.median(gaps):.2f} s of {len(gaps)}")
