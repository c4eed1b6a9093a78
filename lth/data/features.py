"""Frozen prefixes run once: what the frozen blocks give for each image, kept as an array like the pixels."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from lth.data import kept
from lth.data.augment import coins
from lth.data.decoded import Decoded
from lth.data.progress import shown

DTYPES = {"float32": (torch.float32, np.float32), "float16": (torch.float16, np.float16), "bfloat16": (torch.bfloat16, np.int16)}
BATCH = 64


@dataclass(frozen=True)
class Features:
    """The outputs for one folder of images, in its order; where ``mirrored``, each image's own and its mirror image's in turn."""

    array: np.ndarray
    dtype: torch.dtype
    mirrored: bool
    seconds: float  # what computing them took

    def take(self, indices: np.ndarray, seed: int | None) -> Tensor:
        """A batch, channels_last where it has a height and a width; with a seed, images are mirrored as ``augment`` would."""
        if self.mirrored:
            indices = 2 * indices + (0 if seed is None else coins(len(indices), seed).numpy())
        batch = torch.from_numpy(self.array.take(indices, axis=0))
        batch = batch.view(torch.bfloat16) if self.dtype == torch.bfloat16 else batch
        return batch.permute(0, 3, 1, 2) if batch.dim() == 4 else batch


def load(
    prefix: Callable[[Tensor], Tensor],
    images: Decoded,
    cache: Path,
    key: str,
    *,
    mirrored: bool,
    dtype: str = "float32",
    limit: float = 16.0,
) -> Features | None:
    """The features of ``images``, from ``cache`` or else computed into it; None where they would be too large:
    larger than the images as floats (reading them would cost more than it saves), or than ``limit`` in all.

    Args:
        prefix: uint8 (n, h, w, channels) pixels -> features (n, ...), a constant function.
        key: what determines it: images, pixels' size and normalisation, weights, precision.
        mirrored: whether mirror images are needed too.
        dtype: ``float32`` is exact; ``float16`` and ``bfloat16`` take half the space.
        limit: gigabytes.
    """
    name = hashlib.sha256(f"{key} {mirrored} {dtype}".encode()).hexdigest()[:16]
    folder = cache / f"features-{name}"
    kind, stored = DTYPES[dtype]
    build = partial(_build, prefix, images, folder, mirrored, kind, stored, limit)
    if (meta := kept.meta(folder)) is None:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            meta = kept.meta(folder) or build()
    return Features(kept.array(folder, meta, build), kind, mirrored, meta["seconds"]) if meta else None


def _build(
    prefix: Callable[[Tensor], Tensor],
    images: Decoded,
    folder: Path,
    mirrored: bool,
    kind: torch.dtype,
    stored: type,
    limit: float,
) -> dict[str, Any] | None:
    """Compute the features into a kept folder; returns its meta.json."""
    begin = time.perf_counter()
    copies, n = 1 + mirrored, len(images.labels)
    shape = _array(prefix(torch.from_numpy(images.images.take(np.arange(1)))), kind, stored).shape[1:]
    size, pixels = int(np.prod(shape)) * np.dtype(stored).itemsize, images.images.take(np.arange(1)).nbytes
    if size > 4 * pixels or n * copies * size > limit * 1e9:
        return None
    draft = kept.draft(folder)
    array = kept.empty(draft / "features.npy", stored, (n * copies, *shape))
    firsts = range(0, n, BATCH)
    for first in shown(firsts, len(firsts), f"computing what the frozen blocks give for {n:,} images"):
        pixels = torch.from_numpy(images.images.take(np.arange(first, min(first + BATCH, n))))
        part = array[first * copies : (first + BATCH) * copies]
        part[::copies] = _array(prefix(pixels), kind, stored)
        if mirrored:
            part[1::2] = _array(prefix(pixels.flip(2)), kind, stored)
    array.flush()
    about = {"seconds": round(time.perf_counter() - begin, 3), "shape": list(array.shape)}
    return kept.finish(draft, folder, "features.npy", about)


def _array(features: Tensor, kind: torch.dtype, stored: type) -> np.ndarray:
    features = features.detach().to("cpu", kind)
    features = features.permute(0, 2, 3, 1) if features.dim() == 4 else features
    features = features.contiguous()
    return (features.view(torch.int16) if kind == torch.bfloat16 else features).numpy().astype(stored, copy=False)
