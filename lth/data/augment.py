"""Batches on the device: uint8 pixels to normalised floats, and augmentation with draws of each image's own."""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lth.config import NORMALIZE


def normalization(name: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel; where ``name`` is for another number, their average for each."""
    mean, std = (v if len(v) == channels else [sum(v) / len(v)] * channels for v in NORMALIZE[name])
    return mean, std


def to_float(pixels: Tensor, mean: list[float], std: list[float]) -> Tensor:
    """uint8 (n, h, w, channels) in 0..255 -> float32 (n, channels, h, w), (pixel / 255 - mean) / std, channels_last in memory."""
    _, _, width, channels = pixels.shape
    scale, shift = _of_row(tuple(mean), tuple(std), width, pixels.device)
    rows = pixels.reshape(-1, width * channels).to(torch.float32, copy=True)
    return torch.addcmul(shift, rows, scale, out=rows).view(pixels.shape).permute(0, 3, 1, 2)


@lru_cache(16)
def _of_row(mean: tuple[float, ...], std: tuple[float, ...], width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the factor and the summand of each value of a row: with those of a channel, torch goes pixel by pixel."""
    scale, shift = [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std)]
    return torch.tensor(scale * width, device=device), torch.tensor(shift * width, device=device)


def coins(n: int, seed: int) -> Tensor:
    """Which of the ``n`` images of the batch with ``seed`` are mirrored; bool (n,)."""
    return torch.rand(n, generator=torch.Generator().manual_seed(seed)) < 0.5


def augment(images: Tensor, kind: str, seed: int) -> Tensor:
    """A batch (n, channels, h, w) with each image changed by draws of its own; the same draws on every device.

    Args:
        kind: ``none``; ``flip``: mirrored with probability 1/2; ``standard``: also rotated by up to 10 degrees, scaled
            by 0.8 to 1 (a crop) and shifted within what the crop leaves, bilinear, edges reflected.
        seed: of the batch.
    """
    if kind == "none":
        return images
    n = len(images)
    mirror = coins(n, seed)
    if kind == "flip":
        return torch.where(mirror.to(images.device).view(n, 1, 1, 1), images.flip(3), images)
    angle, scale, *shift = torch.rand(4, n, generator=torch.Generator().manual_seed(seed + 1))
    angle, scale = (angle * 2 - 1) * math.radians(10), 0.8 + 0.2 * scale
    dx, dy = ((2 * s - 1) * (1 - scale) for s in shift)
    sign = 1 - 2 * mirror.float()
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.stack([sign * cos, -sin, dx, sign * sin, cos, dy], dim=1).view(n, 2, 3).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
