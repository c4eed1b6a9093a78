"""Frozen blocks run once: the network is cut, the prefix's outputs are cached, the suffix trains on them."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from lth.config import Config
from lth.data import features
from lth.data.decoded import Decoded
from lth.data.features import Features
from lth.data.module import ImageData
from lth.errors import UsageError
from lth.models import cut
from lth.models.build import Network
from lth.training.device import Device

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Prefix:
    """The constant part of a network, if it has one.

    ``suffix`` computes the logits from ``features``; both are None where the whole network is to run.
    """

    def __init__(self, config: Config, network: Network, data: ImageData, device: Device, say: Callable[[str], None]) -> None:
        self.config, self.network, self.data, self.device, self.say = config, network, data, device, say
        self.suffix: Callable[[Tensor], Tensor] | None = None
        self.features: dict[str, Features] | None = None
        usable = config.features.cache and config.data.augment in ("none", "flip") and bool(network.frozen)
        self.cut = cut.cut(network.net) if usable else None
        if usable and self.cut is None:
            say("features: not cached, no constant start of the forward was found; the frozen blocks run at each step")
        self.hash = ""  # of the prefix that ``features`` are of
        if self.cut is None:
            self._require_float32()

    def _require_float32(self) -> None:
        """Rounded features are in the key, so they are used or refused."""
        if (dtype := self.config.features.dtype) != "float32":
            raise UsageError(f"features.dtype={dtype} is not accepted here: no features are cached; it takes float32.")

    def run(self) -> None:
        """Load the features, or compute them; again only where pruning changed the frozen weights."""
        if self.cut is None or (new := cut.hash_prefix(self.cut.prefix)) == self.hash:
            return
        self.hash, self.suffix, self.features = new, None, None
        self.network.net.to(self.device.torch_name)
        self.cut.to(self.device.torch_name)
        splits = self.data.splits
        parts = {"train": splits.train_images, "val": splits.val_images, "test": splits.test_images}
        if splits.val_images is splits.train_images:
            del parts["val"]
        loaded = {part: self._load(part, images) for part, images in parts.items()}
        if any(array is None for array in loaded.values()):
            self._require_float32()
            limit = f"data.cache_limit={self.config.data.cache_limit:g} GB"
            self.say(f"features: not cached, larger than the images, or than {limit}; the frozen blocks run at each step")
            return
        self.suffix = torch.compile(self.cut.suffix) if self.config.trainer.compile else self.cut.suffix
        self.features = loaded
        arrays, train = [part.array for part in loaded.values()], loaded["train"]
        shape, seconds = "x".join(map(str, arrays[0].shape[1:])), sum(part.seconds for part in loaded.values())
        self.say(
            f"features: {sum(map(len, arrays))} x {shape}, {sum(array.nbytes for array in arrays) / 1e6:.1f} MB, computed once "
            f"in {seconds:.1f} s; saves about {train.seconds * len(splits.train) / len(train.array):.1f} s an epoch"
        )

    def _load(self, part: str, images: Decoded) -> Features | None:
        data = self.config.data
        determined_by = [images.hash, data.image_size, self.data.mean, self.data.std, self.hash, self.device.precision]
        return features.load(
            self._compute,
            images,
            Path(data.cache),
            " ".join(map(str, determined_by)),
            mirrored=part == "train" and data.augment == "flip",
            dtype=self.config.features.dtype,
            limit=data.cache_limit,
        )

    def _compute(self, pixels: Tensor) -> Tensor:
        kind = AUTOCAST.get(self.device.precision)
        where = next(self.network.net.parameters()).device
        with torch.no_grad(), torch.autocast(where.type, kind) if kind else nullcontext():
            return self.cut.prefix(self.data.to_float(pixels.to(where)))
