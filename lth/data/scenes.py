"""An offline stand-in for the Intel natural-scenes set: six classes of drawn landscapes and towns. Imports no torch.

The classes share their light, colours and parts (ridges, trees, water, houses), so that a linear model on the pixels does
worse than a small convolutional network, which does well, not perfectly. Coordinates are fractions of the picture, y downwards.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable
from itertools import pairwise, product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from lth.data.cache import shown

PARTS = ("seg_train", "seg_test")
VERSION = 3  # counts up when a picture changes

WALLS = [(150, 140, 125), (140, 85, 65), (185, 180, 170), (95, 110, 130)]
EARTH = [(95, 85, 75), (120, 105, 85), (80, 90, 65), (75, 80, 95)]
LEAVES = [(50, 85, 35), (80, 100, 40), (35, 65, 50), (140, 95, 40)]
WATER = [(30, 80, 120), (50, 110, 130), (70, 90, 110)]
ICE = [(220, 235, 245), (185, 215, 235), (170, 180, 190)]
SKY = [(90, 140, 210), (170, 185, 200), (215, 190, 160), (120, 120, 150)]
SHARE = 100  # pictures that are worth another process
Picture = tuple[int, int, int]  # part, class, number
Colours = list[tuple[int, int, int]]
Edge = tuple[float, float, float]  # of a house: x, top, foot
X = np.linspace(0, 1, 61)


class Canvas:
    """A square picture of n x n pixels in the making, with its random generator and its light."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self.n, self.u = rng, n, rng.uniform
        self.light = rng.uniform(0.6, 1.1) * rng.uniform(0.88, 1.12, 3)
        self.image = Image.new("RGB", (n, n))
        self.draw = ImageDraw.Draw(self.image)

    def pick(self, colours: Colours) -> np.ndarray:
        """A lit colour near one of these."""
        return (self.rng.choice(colours) + self.rng.normal(0, 12, 3)) * self.light

    def fill(self, points: Iterable[tuple[float, float]], colour: np.ndarray) -> None:
        """Fill a polygon."""
        self.draw.polygon([(x * self.n, y * self.n) for x, y in points], tuple(colour.clip(0, 255).astype(int)))

    def outline(self, rough: float) -> np.ndarray:
        """A fractal curve over the 61 points of ``X``, 0..1."""
        peaks = [int(self.u(1.5, 4) * 2**k) + 2 for k in range(4)]
        y = sum(rough**k * np.interp(X, np.linspace(0, 1, n), self.rng.random(n)) for k, n in enumerate(peaks))
        return (y - y.min()) / np.ptp(y)


def sky(c: Canvas, horizon: float) -> None:
    """Fill the canvas with a sky whose gradient ends at the horizon, and clouds."""
    depth = (np.linspace(0, 1 / horizon, c.n).clip(0, 1) ** c.u(0.6, 1.6))[:, None, None]
    grains = Image.fromarray(c.rng.random((c.rng.integers(3, 12), c.rng.integers(2, 6)), np.float32) - 0.5)
    clouds = (np.asarray(grains.resize((c.n, c.n), Image.Resampling.BICUBIC)) * c.u(1, 4)).clip(0, 0.7)[..., None]
    pixels = c.pick(SKY) * (1 - depth) + c.pick(SKY + ICE) * depth
    pixels = pixels * (1 - clouds) + c.pick(ICE) * clouds
    c.image.paste(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))


def ground(c: Canvas, top: float, colours: Colours, rough: float = 0.03) -> None:
    """Open ground below ``top``."""
    c.fill([(0, 1), *zip(X, top - rough * c.outline(0.5)), (1, 1)], c.pick(colours))


def ridge(c: Canvas, base: float, height: float, snow: float) -> None:
    """A ridge with crests ``height`` above ``base``, lit from one side, with snow on its upper share ``snow``."""
    rock, white, side = c.pick(EARTH + LEAVES[:1]), c.pick(ICE[:2]), c.rng.choice((-1, 1))
    crest = base - height * c.outline(c.u(0.4, 0.6))
    for colour, top in ((white, crest), (rock, np.maximum(crest, base - height * (1 - snow)))):
        for (left, y0), (right, y1) in pairwise(zip(X, top)):
            shade = np.clip(0.9 + side * (y1 - y0) * 8 + c.u(-0.05, 0.05), 0.5, 1.2)
            c.fill([(left, y0), (right, y1), (right - 0.1 * side, base + 0.4), (left - 0.1 * side, base + 0.4)], colour * shade)


def water(c: Canvas, top: float, colours: Colours, steep: float = 0.0) -> None:
    """Water below ``top`` with waves; or ice, with ``steep`` crevasses."""
    body, bright, contrast = c.pick(colours), c.pick(ICE) * c.u(0.8, 1.0), c.u(0.15, 0.6)
    c.fill([(0, top), (1, top), (1, 1), (0, 1)], body)
    for down, x in c.rng.random((250, 2)):
        near = down**2 * (1 - top)
        y, wide, tall = top + near, (0.02 + 0.5 * near) * c.u(0.3, 1.0), 0.004 + 0.03 * near
        lean = steep * near * c.rng.normal(0.5, 0.5)
        stroke = [(x - wide, y - lean), (x, y - tall), (x + wide, y + lean), (x, y + tall / 2)]
        c.fill(stroke, body + contrast * c.u(-0.6, 1) * (bright - body))


def trees(c: Canvas, base: float, height: float, most: int) -> None:
    """A row of pointed trees that stand on ``base``."""
    for x in c.rng.random(c.rng.integers(0, most + 1)):
        tall = height * c.u(0.5, 1)
        c.fill([(x - 0.22 * tall, base), (x, base - tall), (x + 0.22 * tall, base)], c.pick(LEAVES) * 0.8)


def house(c: Canvas, left: Edge, right: Edge, cell: float) -> None:
    """A wall between two edges, with windows about ``cell`` wide."""

    def at(u: float, v: float) -> tuple[float, float]:
        x, top, foot = (a + u * (b - a) for a, b in zip(left, right))
        return x, top + v * (foot - top)

    c.fill([at(0, 0), at(1, 0), at(1, 1), at(0, 1)], c.pick(WALLS))
    glass, dx, dy, tall = c.pick(SKY + EARTH) * c.u(0.3, 0.8), c.u(0.15, 0.35), c.u(0.15, 0.35), c.u(1, 1.6)
    columns = max(1, round(abs(right[0] - left[0]) / cell))
    rows = max(1, round((max(left[2], right[2]) - min(left[1], right[1])) / cell / tall))
    for u, v in product(range(columns), range(rows)):
        u0, u1, v0, v1 = (u + 0.5 - dx) / columns, (u + 0.5 + dx) / columns, (v + 0.5 - dy) / rows, (v + 0.5 + dy) / rows
        c.fill([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)], glass * c.u(0.6, 1.5))


def buildings(c: Canvas) -> None:
    foot = c.u(0.75, 1.0)
    sky(c, foot)
    for k in range(c.rng.integers(4, 9)):
        x, wide, top, slant = c.u(-0.1, 0.9), c.u(0.15, 0.4), c.u(0.05, 0.5) + 0.02 * k, c.u(-0.1, 0.1)
        house(c, (x, top, foot), (x + wide, top + slant, foot - 0.3 * slant), c.u(0.03, 0.07))
    ground(c, foot, EARTH + WALLS)
    trees(c, foot + 0.03, c.u(0.1, 0.3), 4)


def street(c: Canvas) -> None:
    x, y, road, tall = c.u(0.35, 0.65), c.u(0.4, 0.6), c.u(0.3, 0.8), c.u(0.5, 1.5)
    sky(c, y)
    ground(c, y, EARTH + LEAVES)
    c.fill([(x, y), (x + 2 * road, y + 2), (x - 2 * road, y + 2)], c.pick(EARTH + WALLS))
    for gap in (-road - c.u(0.05, 0.3), road + c.u(0.05, 0.3)):
        for far, near in pairwise(0.05 * 1.8 ** np.arange(c.rng.integers(5, 7))):
            roof = tall * c.u(0.7, 1.3)
            house(c, *((x + z * gap, y - z * roof, y + z) for z in (far, near)), cell=c.u(0.1, 0.2) * near)


def forest(c: Canvas) -> None:
    floor, angles = c.u(0.6, 0.95), np.linspace(0, 2 * np.pi, 8)
    sky(c, 1.0)
    for x, y in c.rng.random((c.rng.integers(30, 130), 2)):
        radius, leaf = c.u(0.02, 0.09) * c.u(0.7, 1.2, 8), c.pick(LEAVES)
        for size in (1, 0.6):  # leaves, lit from above
            c.fill(zip(x + size * radius * np.cos(angles), y * floor + size * radius * np.sin(angles)), leaf * (1.2 - 0.6 * size))
    ground(c, floor, LEAVES + EARTH)
    bark = c.pick(EARTH + WALLS[:1])
    for near in np.sort(c.rng.random(c.rng.integers(3, 23))):  # trunks
        x, wide, lean, foot = c.u(0, 1), 0.005 + 0.05 * near**2, c.rng.normal(0, 0.05), floor + 0.2 * near
        c.fill([(x - wide, foot), (x + lean, 0), (x + lean + wide, 0), (x + wide, foot)], bark * c.u(0.5, 1.1))


def mountain(c: Canvas) -> None:
    base = c.u(0.55, 0.9)
    sky(c, base)
    for k in range(c.rng.integers(1, 4)):
        ridge(c, base + 0.08 * k, c.u(0.25, 0.6) / (1 + k / 2), c.u(-0.4, 0.6))
    water(c, base + 0.1, WATER + ICE)
    if c.u(0, 1) < 0.7:
        ground(c, base + c.u(0.05, 0.2), LEAVES + EARTH + ICE[:1])
    trees(c, base + c.u(0.1, 0.3), c.u(0.08, 0.25), 15)


def glacier(c: Canvas) -> None:
    top = c.u(0.2, 0.5)
    sky(c, top)
    for k in range(c.rng.integers(1, 3)):
        ridge(c, top + 0.1 * k, c.u(0.1, 0.4), c.u(-0.2, 0.9))
    water(c, top + 0.1, ICE + WATER, steep=c.u(0.3, 0.9))
    if c.u(0, 1) < 0.4:
        ground(c, c.u(0.7, 0.95), EARTH + ICE, 0.15)


def sea(c: Canvas) -> None:
    top = c.u(0.2, 0.55)
    sky(c, top)
    if c.u(0, 1) < 0.5:
        ridge(c, top, c.u(0.03, 0.25), c.u(-0.5, 0.4))
    water(c, top, WATER + ICE)
    if c.u(0, 1) < 0.4:
        ground(c, c.u(0.7, 0.95), EARTH + WALLS, 0.15)


PAINTERS = {paint.__name__: paint for paint in (buildings, forest, glacier, mountain, sea, street)}
CLASSES = tuple(PAINTERS)


def render(name: str, rng: np.random.Generator, size: int = 150) -> np.ndarray:
    """Return a picture of a class, uint8 RGB (size, size, 3), determined by the state of ``rng``."""
    c = Canvas(rng, 2 * size)
    PAINTERS[name](c)
    side = c.n * c.u(0.6, 0.9)
    left, top = c.u(0.05 * c.n, 0.95 * c.n - side, 2)  # beside the corners that tilting leaves empty
    image = c.image.rotate(c.u(-3, 3), Image.Resampling.BILINEAR)
    image = image.resize((size, size), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
    image = ImageOps.mirror(image) if c.u(0, 1) < 0.5 else image
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(c.u(0, 1.2) * size / 150)), np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = (grey + c.u(0.3, 1.2) * (pixels - grey) - 110) * c.u(0.6, 1.2) + 110  # saturation, contrast
    pixels += c.rng.normal(0, 12) + c.u(2, 12) * c.rng.standard_normal((size, size, 1), np.float32)  # brightness, grain
    return pixels.clip(0, 255).astype(np.uint8)


def write(counts: tuple[int, int], seed: int, root: Path) -> dict:
    """Write ``counts`` (training, test) pictures of each class below ``root``, on all cores; returns no metadata.

    Picture n of a class in a part depends on those and the seed alone: a larger set begins with the smaller one.
    """
    pictures = [(p, c, n) for p, count in enumerate(counts) for c in range(len(CLASSES)) for n in range(count)]
    # Elsewhere a process starts by importing the caller's script, which may not be made for it.
    cores = min(os.cpu_count() or 1, 1 + len(pictures) // SHARE) if sys.platform == "linux" else 1
    first, *others = (pictures[k::cores] for k in range(cores))
    fork = multiprocessing.get_context("fork") if others else None
    helpers = [fork.Process(target=_help, args=(part, seed, root, os.getpid()), daemon=True) for part in others]
    try:
        for helper in helpers:
            helper.start()
        _write(shown(first, len(first), f"rendering {len(pictures):,} images"), seed, root)
        for helper, part in zip(helpers, others):
            helper.join()
            if helper.exitcode:  # again, here, where an error is seen
                _write(part, seed, root)
    finally:
        for helper in helpers:
            if helper.is_alive():
                helper.kill()
    return {}


def _write(pictures: Iterable[Picture], seed: int, root: Path) -> None:
    for p, c, n in pictures:
        folder = root / PARTS[p] / CLASSES[c]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = render(CLASSES[c], np.random.default_rng([seed, p, c, n]))
        Image.fromarray(pixels).save(folder / f"{n}.jpg", quality=85)


def _help(pictures: list[Picture], seed: int, root: Path, parent: int) -> None:
    """Write a share of the pictures, for as long as the parent lives; fail without a word."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and stops its helpers
    try:
        _write((picture for picture in pictures if os.getppid() == parent), seed, root)
    except Exception:
        os._exit(1)
