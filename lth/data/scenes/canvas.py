"""The canvas on which the synthetic scenes are painted, its light, and the palettes that all the classes share.

Coordinates are fractions of the picture: x runs 0..1 from left to right, y 0..1 from top to bottom; colours are float32
RGB, 0..1. Light and palettes are shared, so that what tells a class is its structure more than its colour.
"""

import numpy as np
from PIL import Image

Array = np.ndarray

# zenith, horizon, tint of lit surfaces
_MOODS = np.array(
    [
        [(0.25, 0.47, 0.80), (0.70, 0.83, 0.95), (1.00, 1.00, 0.96)],  # clear
        [(0.60, 0.64, 0.69), (0.80, 0.82, 0.84), (0.84, 0.87, 0.92)],  # overcast
        [(0.45, 0.60, 0.80), (0.97, 0.87, 0.65), (1.08, 0.92, 0.70)],  # golden hour
        [(0.30, 0.30, 0.50), (0.98, 0.62, 0.35), (0.95, 0.68, 0.52)],  # sunset
        [(0.20, 0.23, 0.34), (0.52, 0.52, 0.58), (0.53, 0.56, 0.67)],  # dusk
    ],
    np.float32,
)
_MOOD_ODDS = (0.44, 0.24, 0.16, 0.07, 0.09)

Colours = list[tuple[float, float, float]]
# Under white light; the mood of a picture tints them.
EARTH = [(0.36, 0.33, 0.31), (0.45, 0.37, 0.29), (0.30, 0.36, 0.24), (0.27, 0.31, 0.38), (0.40, 0.42, 0.45)]
LEAVES = [(0.20, 0.34, 0.13), (0.33, 0.40, 0.16), (0.14, 0.25, 0.20), (0.58, 0.36, 0.12), (0.72, 0.75, 0.80)]
GREENS = LEAVES[:3]
WALLS = [(0.62, 0.56, 0.48), (0.55, 0.33, 0.26), (0.74, 0.72, 0.68), (0.50, 0.44, 0.38), (0.38, 0.44, 0.52)]
ICE = [(0.88, 0.94, 0.98), (0.74, 0.87, 0.96), (0.80, 0.90, 0.94), (0.68, 0.72, 0.76)]
GROUND = [(0.38, 0.37, 0.36), (0.52, 0.47, 0.40), (0.30, 0.31, 0.34), (0.76, 0.70, 0.58)]


class Canvas:
    """A square picture of n x n pixels in the making, with its random generator and its light."""

    def __init__(self, rng: np.random.Generator, n: int) -> None:
        self.rng, self.n = rng, n
        axis = (np.arange(n, dtype=np.float32) + 0.5) / n
        self.x, self.y = axis[None, :], axis[:, None]
        first, second = rng.choice(len(_MOODS), 2, p=_MOOD_ODDS)
        mix = np.float32(rng.beta(0.6, 1.2))
        self.zenith, self.horizon, self.tint = _MOODS[first] * (1 - mix) + _MOODS[second] * mix
        self.haze = float(rng.beta(1.2, 3.0))
        self.img = np.empty((n, n, 3), np.float32)

    def u(self, low: float, high: float) -> float:
        """A uniform number in [low, high)."""
        return float(self.rng.uniform(low, high))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def pick(self, table: Colours) -> Array:
        """A lit colour (3,) near one of the table's."""
        colour = np.asarray(table[self.rng.integers(len(table))], np.float32)
        return (colour + self.rng.normal(0, 0.04, 3).astype(np.float32)).clip(0, 1) * self.tint

    def lay(self, mask: Array, colour: Array, columns: slice = slice(None)) -> None:
        """Blend a colour (3,) or picture (n, w, 3) over some columns, all by default, by mask (n, w) in 0..1."""
        below = self.img[:, columns]
        below += mask[..., None] * (colour - below)

    def columns(self, x0: float, x1: float) -> slice:
        """The columns that x0..x1 touch."""
        return slice(max(0, int(x0 * self.n) - 1), max(0, min(self.n, int(x1 * self.n) + 2)))

    def inside(self, distance: Array) -> Array:
        """Antialiased mask of where ``distance``, in fractions of the picture, is positive."""
        return (distance * self.n + 0.5).clip(0, 1)

    def box(self, x0: float, x1: float, y0: float, y1: float, colour: Array) -> None:
        """Paint x0..x1 by y0..y1 in one colour."""
        at = self.columns(x0, x1)
        x = self.x[:, at]
        self.lay(self.inside(np.minimum(x - x0, x1 - x)) * self.inside(np.minimum(self.y - y0, y1 - self.y)), colour, at)

    def noise(self, across: float, down: float, octaves: int = 3) -> Array:
        """Fractal noise (n, n) in 0..1 whose coarsest grains number ``across`` by ``down``."""
        total = np.zeros((self.n, self.n), np.float32)
        for octave in range(octaves):
            shape = [min(self.n, max(2, round(k * 2**octave))) for k in (down, across)]
            grains = Image.fromarray(self.rng.random(shape, np.float32) - 0.5)
            total += 0.55**octave * np.asarray(grains.resize((self.n, self.n), Image.Resampling.BICUBIC))
        return (total + 0.5).clip(0, 1)

    def outline(self, cells: float, rough: float = 0.5, octaves: int = 5) -> Array:
        """Angular fractal curve (1, n), about -0.5..0.5, with ``cells`` peaks across."""
        total = np.zeros(self.n, np.float32)
        for octave in range(octaves):
            knots = int(cells * 2**octave) + 3
            at = self.x[0] * (knots - 2) + self.rng.random()
            total += rough**octave * (np.interp(at, np.arange(knots), self.rng.random(knots)) - 0.5)
        return total[None, :].astype(np.float32)

    def plane(self, texture: Array, top: float, scale: float = 0.3) -> Array:
        """A texture (n, n) laid on a level plane that reaches its horizon at y = top."""
        depth = scale / (self.y - top).clip(0.012)
        at = depth * self.n, (0.5 + (self.x - 0.5) * np.sqrt(depth)) * self.n
        # To and fro over the texture, which then needs no seamless border.
        rows, cols = (abs((k.astype(np.int32) + self.n) % (2 * self.n - 2) - self.n + 1) for k in at)
        return texture[rows, cols]
