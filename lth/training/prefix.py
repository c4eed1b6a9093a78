"""Frozen blocks run once: cuts the network, keeps the prefix's outputs, trains the suffix on them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from lth.config import Config
from lth.data import features
from lth.data.decoded import Decoded
from lth.data.module import ImageData
from lth.errors import UsageError
from lth.models import cut
from lth.models.classifier import Classifier
from lth.training.device import Device

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Prefix:
    """The constant part of a model, if it has one; ``run`` sees to it that ``model`` and ``data`` pass it over."""

    def __init__(self, config: Config, model: Classifier, data: ImageData, device: Device, say: Callable[[str], None]) -> None:
        self.config, self.model, self.data, self.device, self.say = config, model, data, device, say
        usable = config.features.cache and config.data.augment in ("none", "flip") and bool(model.frozen)
        self.cut = cut.cut(model.net) if usable else None
        self.weights = ""
        if self.cut is None:
            self._insist()

    def _insist(self) -> None:
        """Rounded features are in the key, so they are used or refused."""
        if (dtype := self.config.features.dtype) != "float32":
            raise UsageError(f"features.dtype={dtype} is not accepted here: no features are kept; it takes float32.")

    def run(self) -> None:
        """Load the features, or compute them; again only where pruning changed the frozen weights."""
        if self.cut is None or (weights := cut.digest(self.cut.prefix)) == self.weights:
            return
        self.weights = weights
        self.model.suffix, self.data.features = (), {}
        self.model.to(self.device.place())
        self.cut.to(self.device.place())
        splits = self.data.splits
        parts = {"train": splits.train_images, "val": splits.val_images, "test": splits.test_images}
        if splits.val_images is splits.train_images:
            del parts["val"]
        loaded = {part: self._load(part, images) for part, images in parts.items()}
        if any(found is None for found in loaded.values()):
            self._insist()
            limit = f"data.cache_limit={self.config.data.cache_limit:g} GB"
            self.say(
                f"features: not kept, they would be larger than the images, or than {limit}; the frozen blocks run at each step"
            )
            return
        suffix = torch.compile(self.cut.suffix) if self.config.trainer.compile else self.cut.suffix
        self.model.suffix, self.data.features = (suffix,), loaded
        self.say(self._summary(loaded))

    def _load(self, part: str, images: Decoded) -> features.Features | None:
        data = self.config.data
        key = f"{images.hash} {data.image_size} {self.data.mean} {self.data.std} {self.weights} {self.device.precision}"
        return features.load(
            self._compute,
            images,
            Path(data.cache),
            key,
            mirrored=part == "train" and data.augment == "flip",
            dtype=self.config.features.dtype,
            limit=data.cache_limit,
        )

    def _compute(self, pixels: Tensor) -> Tensor:
        kind = AUTOCAST.get(self.device.precision)
        where = self.model.device
        with torch.no_grad(), torch.autocast(where.type, kind) if kind else nullcontext():
            return self.cut.prefix(self.data.to_float(pixels.to(where)))

    def _summary(self, loaded: dict[str, features.Features]) -> str:
        arrays = [found.array for found in loaded.values()]
        seconds = sum(found.seconds for found in loaded.values())
        images = sum(len(array) for array in arrays)
        shape = "x".join(str(n) for n in arrays[0].shape[1:])
        saved = loaded["train"].seconds * len(self.data.splits.train) / len(loaded["train"].array)
        size = sum(array.nbytes for array in arrays) / 1e6
        return (
            f"features: {images} x {shape}, {size:.1f} MB, computed once in {seconds:.1f} s; saves about {saved:.1f} s an epoch"
        )
