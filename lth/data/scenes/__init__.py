"""An offline stand-in for the Intel natural-scenes set: six classes of synthetic landscape and city pictures.

The pictures are about as hard as the photographs: the classes share their light, weather and palettes, so that a linear
model on the pixels does poorly and a small convolutional network does well, not perfectly. Imports no torch.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from lth.data.cache import load_or_build
from lth.data.progress import shown
from lth.data.scenes.canvas import Canvas
from lth.data.scenes.land import paint_forest, paint_glacier, paint_mountain, paint_sea
from lth.data.scenes.town import paint_buildings, paint_street

_PAINTERS = (paint_buildings, paint_forest, paint_glacier, paint_mountain, paint_sea, paint_street)
CLASSES = ("buildings", "forest", "glacier", "mountain", "sea", "street")
PARTS = ("seg_train", "seg_test")
_VERSION = 2  # counts up when a picture changes
_MARGIN = 1.08  # canvas / picture: what is left for tilting and cropping without empty corners
_HARD_SHARE = 0.04  # of pictures that are badly taken: strong blur, noise, a colour cast, low contrast


def fetch(cache: Path, train_per_class: int, test_per_class: int, seed: int, before: Callable[[], None] = lambda: None) -> Path:
    """Return a folder in ``cache`` with seg_train/<class>/<n>.jpg and seg_test/<class>/<n>.jpg, rendered if need be."""
    root = cache / f"scenes-v{_VERSION}-{train_per_class}-{test_per_class}-{seed}"
    load_or_build(root, partial(write, (train_per_class, test_per_class), seed), before)
    return root


def write(counts: tuple[int, int], seed: int, root: Path) -> dict[str, Any]:
    """Write ``counts`` (training, test) pictures of each class; returns the metadata of the folder.

    Picture n of a class in a part depends on those and the seed alone: a larger set begins with the smaller one.
    """
    for part in PARTS:
        for name in CLASSES:
            (root / part / name).mkdir(parents=True)
    pictures = [(p, c, n) for p, count in enumerate(counts) for c in range(len(CLASSES)) for n in range(count)]
    for p, c, n in shown(pictures, len(pictures), f"rendering {len(pictures):,} images"):
        pixels = render(CLASSES[c], np.random.default_rng([seed, p, c, n]))
        Image.fromarray(pixels).save(root / PARTS[p] / CLASSES[c] / f"{n}.jpg", quality=85)
    return {"version": _VERSION, "seed": seed, **dict(zip(PARTS, counts))}


def render(name: str, rng: np.random.Generator, size: int = 150) -> np.ndarray:
    """Return a picture of a class, uint8 RGB (size, size, 3), determined by the state of ``rng``."""
    canvas = Canvas(rng, round(size * _MARGIN))
    _PAINTERS[CLASSES.index(name)](canvas)
    hard = rng.random() < _HARD_SHARE
    return _develop(_frame(canvas.img, rng, size, hard), rng, hard)


def _frame(scene: np.ndarray, rng: np.random.Generator, size: int, hard: bool) -> np.ndarray:
    """Crop, tilt, mirror and blur a canvas (n, n, 3) in 0..1 to float32 (size, size, 3) in 0..255."""
    n = scene.shape[0]
    picture = Image.fromarray((scene * 255).clip(0, 255).astype(np.uint8))
    angle, flip = rng.normal(0, 0.035), rng.choice((-1, 1))
    widest = n / (abs(np.cos(angle)) + abs(np.sin(angle)))  # the largest square at this tilt that stays inside the canvas
    side = widest * rng.uniform(0.5, 1.0)
    cx, cy = n / 2 + (widest - side) / 2 * rng.uniform(-1, 1, 2)
    cos, sin = side / size * np.cos(angle), side / size * np.sin(angle)
    affine = (flip * cos, -sin, cx - size / 2 * (flip * cos - sin), flip * sin, cos, cy - size / 2 * (flip * sin + cos))
    picture = picture.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    radius = rng.uniform(0.8, 2.0) if hard else rng.uniform(0, 0.5)
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius * size / 150)), np.float32)


def _develop(pixels: np.ndarray, rng: np.random.Generator, hard: bool) -> np.ndarray:
    """Give a picture (size, size, 3) in 0..255 its exposure, contrast, colour cast and grain; returns uint8."""
    strength = 2.0 if hard else 1.0
    gain = rng.normal(1, 0.03 * strength, 3) * rng.uniform(0.85, 1.15)
    contrast = rng.uniform(0.5, 0.9) if hard else rng.uniform(0.8, 1.25)
    saturation = rng.uniform(0.6, 1.3)
    # All of it is linear in the colour: one product instead of a pass over the picture for each.
    mix = (saturation * np.eye(3) + (1 - saturation) / 3) * contrast * gain
    shift = pixels.mean() * (1 - contrast) * gain + rng.normal(0, 8)
    grain = rng.standard_normal(pixels.shape[:2], np.float32) * np.float32(rng.uniform(0.5, 1.8) * strength)
    return (pixels @ mix.astype(np.float32) + shift.astype(np.float32) + grain[..., None]).clip(0, 255).astype(np.uint8)
