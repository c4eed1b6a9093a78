"""The LightningDataModule: orders and batches."""

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from typing_extensions import override

from lth.data.augment import augment, normalization, to_float
from lth.data.decoded import Decoded
from lth.data.features import Features
from lth.data.split import Splits
from lth.seeds import stream

PIXELS = 2**20  # of a batch that is only evaluated: small images are batched in greater numbers
Position = tuple[int, int]  # in training: an epoch, and the number of its batches that are done


class Batches(Dataset):
    """Maps (indices, seed) to (pixels uint8 (n, h, w, c) or features, labels (n,), seed): a batch by one gather."""

    def __init__(self, images: Decoded, features: Features | None, train: bool) -> None:
        self.images, self.features, self.train = images, features, train

    @override
    def __getitem__(self, item: tuple[np.ndarray, int]) -> tuple[Tensor, Tensor, int]:
        indices, seed = item
        if self.features:
            values = self.features.take(indices, seed if self.train else None)
        else:
            values = torch.from_numpy(self.images.take(indices))
        return values, torch.from_numpy(self.images.labels[indices]), seed


class Order(Sampler):
    """The batches of an epoch, as (indices, seed). Stateless: they depend on (seed, epoch, rank, ranks) alone.

    ``subset``: indices into the data set, int64 (n,). ``batch_size``: images of a batch over all ranks. ``seed``: draws the
    order and the seed of each batch; None: in the order of ``subset``, every image once. ``begin``: what comes first.
    """

    def __init__(
        self, subset: np.ndarray, batch_size: int, seed: int | None, rank: int = 0, ranks: int = 1, begin: Position = (0, 0)
    ) -> None:
        self.subset, self.batch_size, self.seed = subset, batch_size, seed
        self.rank, self.ranks, self.begin = rank, ranks, begin
        full, tail = divmod(len(subset), batch_size)
        self.per_epoch = max(1, full + (tail >= 2 * ranks))  # batches of an epoch of which none is left out
        self.set_epoch(begin[0])

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch, with its number."""
        self.epoch = epoch
        self.skipped = self.begin[1] if epoch == self.begin[0] else 0

    @override
    def __len__(self) -> int:
        return self.per_epoch - self.skipped

    @override
    def __iter__(self):
        order = self.subset
        if self.seed is not None:
            order = np.random.default_rng(stream("data order", self.seed, self.epoch)).permutation(order)
        for k in range(self.skipped, self.per_epoch):
            # A tail of one image a rank or none goes with the batch before: BatchNorm and the ranks need more.
            end = (k + 1) * self.batch_size if k + 1 < self.per_epoch else len(order)
            batch = order[k * self.batch_size : end]
            if self.seed is not None:  # gradients are averaged over ranks, so each has as many images: the first ones again
                batch = np.resize(batch, -(-len(batch) // self.ranks) * self.ranks)
            yield batch[self.rank :: self.ranks], stream("augmentation", self.seed or 0, self.epoch, self.rank, k)


class ImageData(pl.LightningDataModule):
    """Batches (images float32 (n, channels, h, w), labels int64 (n,)) of the training, validation and test images.

    ``seed``: draws order and augmentation. ``normalize``: a name in ``augment.NORMALIZE``. ``kind``: of ``augment.augment``.
    ``workers``: processes that decode, for streamed images alone. ``begin``: what training starts with. ``features``: of
    ``train``, ``val`` and ``test`` images, which are the batches then.
    """

    def __init__(
        self,
        splits: Splits,
        batch_size: int,
        seed: int,
        normalize: str = "imagenet",
        kind: str = "none",
        workers: int = 0,
        channels: int = 3,
        begin: Position = (0, 0),
        features: dict[str, Features] | None = None,
    ) -> None:
        super().__init__()
        self.splits, self.batch_size, self.seed, self.kind, self.workers = splits, batch_size, seed, kind, workers
        self.mean, self.std = normalization(normalize, channels)
        self.begin, self.features = begin, features or {}

    def batches(self, ranks: int = 1) -> int:
        """Return the number of optimiser steps of an epoch."""
        return Order(self.splits.train, self.batch_size, self.seed, 0, ranks).per_epoch

    def _loader(self, part: str) -> DataLoader:
        images, subset = getattr(self.splits, f"{part}_images"), getattr(self.splits, part)
        features = self.features.get("train" if part in self.splits.drawn else part)
        rank, ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if part == "train":
            order = Order(subset, self.batch_size, self.seed, rank, ranks, self.begin)
        else:
            order = Order(subset, max(self.batch_size, PIXELS // images.size**2), None, rank, ranks)
        if self.trainer:
            order.set_epoch(self.trainer.current_epoch)
        workers = self.workers if images.array is None and not features else 0
        return DataLoader(
            Batches(images, features, part == "train"),
            sampler=order,
            batch_size=None,
            num_workers=workers,
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # or each new iterator would draw from the generator that dropout draws from
        )

    @override
    def train_dataloader(self) -> DataLoader:
        return self._loader("train")

    @override
    def val_dataloader(self) -> DataLoader:
        return self._loader("val")

    @override
    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    @override
    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor, int], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        values, labels, seed = batch
        if values.dtype != torch.uint8:
            return values.float(), labels
        images = self.to_float(values)
        if self.trainer is not None and self.trainer.training:
            images = augment(images, self.kind, seed)
        return images, labels

    def to_float(self, pixels: Tensor) -> Tensor:
        """uint8 (n, h, w, channels) -> normalised float32 (n, channels, h, w)."""
        return to_float(pixels, self.mean, self.std)
