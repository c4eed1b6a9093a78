"""Frozen blocks run once: their outputs for each image are an array in the cache, like the pixels."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lth.data.augment import coins
from lth.data.cache import Meta, load_or_build, read_array, shown, write_array
from lth.data.decoded import Decoded

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
BATCH = 64
Prefix = Callable[[Tensor], Tensor]  # uint8 (n, h, w, channels) pixels -> features (n, ...), a constant function


@dataclass(frozen=True)
class Features:
    """The outputs for one folder of images, in its order; where ``mirrored``, each image's, then its mirror image's."""

    array: np.ndarray
    dtype: torch.dtype
    mirrored: bool
    seconds: float  # that computing them took

    def take(self, indices: np.ndarray, seed: int | None) -> Tensor:
        """Return a batch, channels_last where it has height and width; with a seed, images are mirrored as by ``augment``."""
        if self.mirrored:
            indices = 2 * indices + (0 if seed is None else coins(len(indices), seed).numpy())
        batch = torch.from_numpy(self.array.take(indices, axis=0))
        batch = batch.view(torch.bfloat16) if self.dtype == torch.bfloat16 else batch  # numpy has none: stored as int16
        return batch.permute(0, 3, 1, 2) if batch.dim() == 4 else batch


def load(
    prefix: Prefix, images: Decoded, cache: Path, key: str, *, mirrored: bool, dtype: str = "float32", limit: float = 16.0
) -> Features | None:
    """Return the features of ``images``, from ``cache`` or else computed into it; None where they would be too large:
    larger than the images as floats (reading them would cost more than it saves), or than ``limit`` gigabytes in all.

    ``key``: what determines the prefix (images, pixels' size and normalisation, weights, precision). ``mirrored``: whether
    mirror images are needed too. ``dtype``: float32 is exact; float16 and bfloat16 take half the space.
    """
    folder = cache / f"features-{hashlib.sha256(f'{key} {mirrored} {dtype}'.encode()).hexdigest()[:16]}"
    kind, n = DTYPES[dtype], len(images.labels)

    def outputs(indices: Tensor) -> np.ndarray:
        pixels = torch.from_numpy(images.take(indices.numpy()))
        copies = [_array(prefix(p), kind) for p in ([pixels, pixels.flip(2)] if mirrored else [pixels])]
        return np.stack(copies, axis=1).reshape(-1, *copies[0].shape[1:])

    def build(draft: Path) -> Meta | None:
        begin, size = time.perf_counter(), outputs(torch.arange(1)).nbytes
        if size > 4 * images.take(np.arange(1)).nbytes * (1 + mirrored) or size * n > limit * 1e9:
            return None
        batches = torch.arange(n).split(BATCH)
        what = f"computing the outputs of the frozen blocks for {n:,} images"
        write_array(draft / "features.npy", map(outputs, shown(batches, len(batches), what)))
        return {"seconds": round(time.perf_counter() - begin, 3)}

    meta = load_or_build(folder, build)
    return Features(read_array(folder / "features.npy"), kind, mirrored, meta["seconds"]) if meta else None


def _array(features: Tensor, dtype: torch.dtype) -> Any:
    features = features.detach().to("cpu", dtype)
    features = (features.permute(0, 2, 3, 1) if features.dim() == 4 else features).contiguous()
    return (features.view(torch.int16) if dtype == torch.bfloat16 else features).numpy()
