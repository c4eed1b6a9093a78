"""Painters of the town scenes: buildings and street."""

from itertools import pairwise

import numpy as np

from lth.data.scenes.canvas import GROUND, LEAVES, WALLS, Canvas
from lth.data.scenes.land import conifers, meadow, ranges, sky


def facade(c: Canvas, x0: float, x1: float, top: tuple[float, float], foot: tuple[float, float], cell: float) -> None:
    """A wall between x0 and x1 whose top and foot run between two heights, with windows about ``cell`` wide."""
    at = c.columns(x0, x1)
    x = c.x[:, at]
    t = ((x - x0) / max(x1 - x0, 1e-3)).clip(0, 1)
    upper, lower = top[0] + (top[1] - top[0]) * t, foot[0] + (foot[1] - foot[0]) * t
    left, right = max(foot[0] - top[0], 0.02), max(foot[1] - top[1], 0.02)
    # Along a receding wall the distance goes as one over its height in the picture.
    along = t * left / (right + (left - right) * t)
    cols = max(1, round((x1 - x0) * (max(left, right) / min(left, right)) ** 0.5 / cell))
    rows = max(1, round(max(left, right) / cell / c.u(1.0, 1.8)))
    u, v = along * cols, (c.y - upper) / (lower - upper) * rows
    panes = ((0.5 - c.u(0.08, 0.34) - abs(u % 1 - 0.5)) * 10).clip(0, 1)
    panes = panes * ((0.5 - c.u(0.08, 0.34) - abs(v % 1 - 0.5)) * 10).clip(0, 1)
    glass = c.rng.random((rows + 1, cols + 1, 1), np.float32)
    glass = c.horizon * 0.35 * glass + c.u(0.0, 0.1) if c.chance(0.75) else np.where(glass > 0.5, c.tint, c.tint * 0.1)
    wall = c.pick(WALLS) * c.u(0.65, 1.3) * (0.85 + 0.3 * c.noise(12, 12, 1)[:, at, None])
    which = glass[v.astype(np.int32).clip(0, rows), u.astype(np.int32)]
    mask = c.inside(np.minimum(c.y - upper, lower - c.y)) * c.inside(np.minimum(x - x0, x1 - x))
    c.lay(mask, wall + panes[..., None] * (which - wall), at)


def paint_buildings(c: Canvas) -> None:
    foot = c.u(0.8, 1.15)
    sky(c, foot)
    for depth in range(int(c.rng.integers(2, 6))):
        x, top = c.u(-0.1, 0.9), c.u(0.05, 0.45) + 0.03 * depth
        facade(c, x, x + c.u(0.1, 0.35), (top, top), (foot, foot), c.u(0.025, 0.06))
    corner, top, cell = c.u(0.0, 0.8), c.u(-0.2, 0.35), c.u(0.035, 0.075)
    slant = c.u(0.0, 0.3)
    facade(c, corner, corner + c.u(0.4, 1.0), (top, top + slant), (foot, foot - slant * 0.3), cell)
    if c.chance(0.6):  # a second side recedes from the corner
        slant = c.u(0.0, 0.4)
        facade(c, corner - c.u(0.25, 0.7), corner, (top + slant, top), (foot - slant * 0.3, foot), cell)
    meadow(c, foot, GROUND)
    if c.chance(0.3):
        conifers(c, foot, c.u(0.1, 0.3), 4)


def paint_street(c: Canvas) -> None:
    vx, vy, road = c.u(0.33, 0.67), c.u(0.42, 0.62), c.u(0.25, 0.9)
    sky(c, vy)
    if c.chance(0.2):
        ranges(c, vy + 0.02, 0.2, 0.3, 1)
    meadow(c, vy, GROUND[:3])
    below = (c.y - vy).clip(1e-3)
    lane = (c.x - vx) / below
    c.lay(c.inside(c.y - vy) * (abs(lane) > road), c.pick(GROUND + LEAVES[:2]))
    if c.chance(0.6):  # a broken centre line
        dashes = (0.35 / below + c.u(0, 1)) % 1 < c.u(0.4, 1.2)
        c.lay(c.inside(c.y - vy) * (abs(lane - c.u(-0.2, 0.2)) < 0.04) * dashes, 0.85 * c.tint)
    for side in (-1, 1):
        street_side(c, vx, vy, side, road)
    for _ in range(int(c.rng.integers(0, 4))):
        car(c, vx, vy, road)


def street_side(c: Canvas, vx: float, vy: float, side: int, road: float) -> None:
    """The houses along one side of a street, from the far end to the near one."""
    gap, height, cell = road + c.u(0.05, 0.4), c.u(0.6, 2.0), c.u(0.05, 0.1)
    reach = [0.03, *(0.03 + 0.25 * np.cumsum(c.rng.uniform(0.5, 1.0, 4)) ** 2).tolist()]
    for far, near in pairwise(reach):
        tall = height * c.u(0.7, 1.3)
        ends = [(vx + side * z * gap, vy - z * tall, vy + z) for z in (far, near)]
        (x0, *left), (x1, *right) = ends[::side]
        facade(c, x0, x1, (left[0], right[0]), (left[1], right[1]), cell * max(near, 0.15) * 1.5)


def car(c: Canvas, vx: float, vy: float, road: float) -> None:
    """A car seen from behind, sized by its distance."""
    down = c.u(0.04, 0.3)
    x, y, half = vx + c.u(-0.8, 0.8) * road * down, vy + down, down * 0.3
    paint = c.rng.random(3).astype(np.float32) * 0.8 * c.tint
    c.box(x - half, x + half, y - half, y, paint)
    c.box(x - half * 0.8, x + half * 0.8, y - half * 1.6, y - half, paint * 0.5)
