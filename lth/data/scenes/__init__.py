"""An offline stand-in for the Intel natural-scenes set: six classes of synthetic landscape and city pictures.

The pictures are drawn, not photographed, but are made to be about as hard: the classes share their light, weather and
palettes, so that a linear model on the pixels does poorly and a small convolutional network does well, not perfectly.
"""

import itertools
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from lth.data.made import sums
from lth.data.progress import shown
from lth.data.scenes.canvas import Canvas
from lth.data.scenes.land import paint_forest, paint_glacier, paint_mountain, paint_sea
from lth.data.scenes.town import clutter, paint_buildings, paint_street

_PAINTERS = {
    "buildings": paint_buildings,
    "forest": paint_forest,
    "glacier": paint_glacier,
    "mountain": paint_mountain,
    "sea": paint_sea,
    "street": paint_street,
}
CLASSES = tuple(_PAINTERS)
SPLITS = ("seg_train", "seg_test")
MANIFEST = "scenes.json"

# Raise it when a painter changes, so that a folder drawn by an older version is not taken for a new one.
_VERSION = 1
_JPEG_QUALITY = 85
# The canvas is larger than the picture by this much: room to tilt and to crop without empty corners.
_MARGIN = 1.08
_CLUTTER_SHARE = 0.1
# Share of pictures that are badly taken: strong blur, noise, a colour cast, low contrast.
_HARD_SHARE = 0.04


def render(name: str, rng: np.random.Generator, size: int = 150) -> np.ndarray:
    """Draw one picture of the class `name`.

    Returns uint8 RGB of shape (size, size, 3), determined by the state of `rng`.
    Raises ValueError for a name that is not in CLASSES and for a size below 16 pixels.
    """
    if name not in CLASSES:
        raise ValueError(f"unknown scene class {name!r}; the classes are {', '.join(CLASSES)}")
    if size < 16:
        raise ValueError(f"size must be at least 16 pixels, not {size}")
    canvas = Canvas(rng, round(size * _MARGIN))
    _PAINTERS[name](canvas)
    if rng.random() < _CLUTTER_SHARE:
        clutter(canvas)
    hard = rng.random() < _HARD_SHARE
    return _develop(_frame(canvas.img, rng, size, hard), rng, hard)


def _frame(scene: np.ndarray, rng: np.random.Generator, size: int, hard: bool) -> np.ndarray:
    """Crop, tilt, mirror and blur a canvas (n, n, 3) in 0..1 to float32 (size, size, 3) in 0..255."""
    n = scene.shape[0]
    picture = Image.fromarray((scene * 255).clip(0, 255).astype(np.uint8))
    angle = rng.normal(0, 0.035)
    # The largest square at this tilt that stays inside the canvas, made smaller by a random zoom.
    side = n / (abs(np.cos(angle)) + abs(np.sin(angle))) * rng.uniform(0.8, 1.0)
    cos, sin = side / size * np.cos(angle), side / size * np.sin(angle)
    slack = (n - side * (abs(np.cos(angle)) + abs(np.sin(angle)))) / 2
    cx, cy = n / 2 + rng.uniform(-slack, slack, 2)
    flip = rng.choice((-1, 1))
    half = size / 2
    affine = (flip * cos, -sin, cx - half * (flip * cos - sin), flip * sin, cos, cy - half * (flip * sin + cos))
    picture = picture.transform((size, size), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    radius = rng.uniform(0.8, 2.0) if hard else rng.uniform(0, 0.5)
    if radius > 0.25:
        picture = picture.filter(ImageFilter.GaussianBlur(radius * size / 150))
    return np.asarray(picture, np.float32)


def _develop(pixels: np.ndarray, rng: np.random.Generator, hard: bool) -> np.ndarray:
    """Give a picture (size, size, 3) in 0..255 its exposure, contrast, colour cast and grain; returns uint8."""
    strength = 2.0 if hard else 1.0
    saturation = 0.0 if rng.random() < 0.03 * strength else rng.uniform(0.7, 1.3)
    gain = rng.normal(1, 0.03 * strength, 3) * rng.uniform(0.85, 1.15)
    contrast = rng.uniform(0.5, 0.9) if hard else rng.uniform(0.8, 1.25)
    # All of it is linear in the colour: one product instead of a pass over the picture for each.
    mix = (saturation * np.eye(3) + (1 - saturation) / 3) * contrast * gain
    shift = pixels.mean() * (1 - contrast) * gain + rng.normal(0, 8)
    pixels = pixels @ mix.astype(np.float32) + shift.astype(np.float32)
    grain = rng.standard_normal(pixels.shape[:2], np.float32) * np.float32(rng.uniform(0.5, 1.8) * strength)
    return (pixels + grain[..., None]).clip(0, 255).astype(np.uint8)


def write(root: Path, train_per_class: int, test_per_class: int, seed: int = 0) -> Path:
    """Write root/seg_train/<class>/<n>.jpg and root/seg_test/<class>/<n>.jpg, 150x150 pixels; returns root.

    Picture n of a class in a split depends on those and the seed alone: the bytes are the same on every run, and a
    larger set begins with the smaller one. A root that already holds this very set is left as it is. The set appears
    at once: it is drawn in a temporary folder beside root, so processes that race for the same root all end with it.
    Raises ValueError for negative counts, FileExistsError where root holds anything else (it is never overwritten).
    """
    root = Path(root)
    if min(train_per_class, test_per_class) < 0:
        raise ValueError(f"counts must not be negative: {train_per_class}, {test_per_class}")
    counts = dict(zip(SPLITS, (train_per_class, test_per_class), strict=True))
    manifest = {"version": _VERSION, "seed": seed, **counts}
    if _holds(root, manifest):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        pictures = [(split, name, index) for split, count in counts.items() for name in CLASSES for index in range(count)]
        for split, name in itertools.product(SPLITS, CLASSES):
            (draft / split / name).mkdir(parents=True)
        for split, name, index in shown(pictures, len(pictures), f"rendering {len(pictures):,} images"):
            rng = np.random.default_rng([seed, SPLITS.index(split), CLASSES.index(name), index])
            Image.fromarray(render(name, rng)).save(draft / split / name / f"{index}.jpg", quality=_JPEG_QUALITY)
        (draft / MANIFEST).write_text(json.dumps(manifest | {"sums": sums(draft, SPLITS)}) + "\n")
        draft.chmod(0o755)  # mkdtemp makes it private to its owner
        try:
            draft.rename(root)
        except OSError:
            # Another process was first. Its copy is the same, byte for byte, unless it was asked for another set.
            if not _holds(root, manifest):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _holds(root: Path, manifest: dict[str, int]) -> bool:
    """Whether root is the set of this manifest; FileExistsError if it is there and is not, False if it is empty."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    try:
        found = json.loads((root / MANIFEST).read_text())
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict) and {name: value for name, value in found.items() if name != "sums"} == manifest:
        return True
    raise FileExistsError(f"{root} exists and does not hold the wanted scenes {manifest}; it holds {found or 'others'}")
