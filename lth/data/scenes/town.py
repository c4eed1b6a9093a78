"""Painters of the town scenes (buildings, street), and of the clutter that may stand before any scene."""

from itertools import pairwise

import numpy as np

from lth.data.scenes.canvas import EARTH, GROUND, LEAVES, WALLS, Canvas
from lth.data.scenes.land import meadow, people, ranges, sky, trees


def facade(c: Canvas, x0: float, x1: float, top: tuple[float, float], foot: tuple[float, float], cell: float) -> None:
    """A wall between x0 and x1 whose top and foot run between two heights, with windows about `cell` wide."""
    strip = c.strip(x0, x1)
    x = c.x[:, strip]
    if not x.size:
        return
    t = ((x - x0) / max(x1 - x0, 1e-3)).clip(0, 1)
    upper, lower = top[0] + (top[1] - top[0]) * t, foot[0] + (foot[1] - foot[0]) * t
    left, right = max(foot[0] - top[0], 0.02), max(foot[1] - top[1], 0.02)
    # Along a receding wall the distance goes as one over its height in the picture.
    along = t * left / (right + (left - right) * t)
    stretch = max(left, right) / min(left, right)
    cols = max(1, round((x1 - x0) * stretch**0.5 / cell))
    rows = max(1, round(max(left, right) / cell / c.u(1.0, 1.8)))
    u, v = along * cols, (c.y - upper) / (lower - upper) * rows
    in_u = ((0.5 - c.u(0.08, 0.34) - abs(u % 1 - 0.5)) * 10).clip(0, 1)
    panes = in_u * ((0.5 - c.u(0.08, 0.34) - abs(v % 1 - 0.5)) * 10).clip(0, 1)
    glass = c.rng.random((rows + 1, cols + 1, 1), np.float32)
    glass = c.horizon * 0.35 * glass + c.u(0.0, 0.1) if c.chance(0.75) else np.where(glass > 0.5, c.tint, c.tint * 0.1)
    wall = c.pick(WALLS) * c.u(0.65, 1.3) * (0.85 + 0.3 * c.noise(12, 12, 1)[:, strip, None])
    # Panes are seen on dark walls too: there they mirror the sky.
    if wall.mean() < 0.35:
        glass = 0.4 * c.horizon + 0.8 * glass
    which = glass[v.astype(np.int32).clip(0, rows), u.astype(np.int32)]
    mask = c.edge(c.y - upper) * c.edge(lower - c.y) * c.edge(x - x0) * c.edge(x1 - x)
    c.lay_strip(strip, mask, wall + panes[..., None] * (which - wall))


def paint_buildings(c: Canvas) -> None:
    foot = c.u(0.8, 1.15)
    sky(c, foot)
    if c.chance(0.3):
        meadow(c, foot - 0.1, LEAVES + GROUND)
    for depth in range(int(c.rng.integers(2, 6))):
        x, wide = c.u(-0.1, 0.9), c.u(0.1, 0.35)
        top = c.u(0.05, 0.45) + 0.03 * depth
        facade(c, x, x + wide, (top, top), (foot, foot), c.u(0.025, 0.06))
    corner_house(c, foot)
    meadow(c, foot, GROUND)
    if c.chance(0.35):
        trees(c, foot, int(c.rng.integers(1, 4)))
    if c.chance(0.4):
        people(c, foot - 0.05, int(c.rng.integers(1, 5)))


def corner_house(c: Canvas, foot: float) -> None:
    """One large building: its front, and often a second side that recedes from the corner."""
    corner, top, cell = c.u(0.0, 0.8), c.u(-0.2, 0.35), c.u(0.035, 0.075)
    slant, wide = c.u(0.0, 0.3), c.u(0.4, 1.0)
    facade(c, corner, corner + wide, (top, top + slant), (foot, foot - slant * 0.3), cell)
    if c.chance(0.6):
        slant, wide = c.u(0.0, 0.4), c.u(0.25, 0.7)
        facade(c, corner - wide, corner, (top + slant, top), (foot - slant * 0.3, foot), cell)


def paint_street(c: Canvas) -> None:
    vx, vy = c.u(0.33, 0.67), c.u(0.42, 0.62)
    sky(c, vy)
    if c.chance(0.2):
        ranges(c, vy + 0.02, 0.2, 0.3, 1)
    road = c.u(0.25, 0.9)
    meadow(c, vy, GROUND[:3])
    lane_marks(c, vx, vy, road)
    for side in (-1, 1):
        if c.chance(0.9):
            street_side(c, vx, vy, side, road)
    for _ in range(int(c.rng.integers(0, 4))):
        car(c, vx, vy, road)
    people(c, vy + 0.08, int(c.rng.integers(0, 5)))
    if c.chance(0.3):
        trees(c, vy + c.u(0.05, 0.2), int(c.rng.integers(1, 3)))


def lane_marks(c: Canvas, vx: float, vy: float, road: float) -> None:
    """Kerbs, pavement and a broken centre line, all running to the vanishing point."""
    below = (c.y - vy).clip(1e-3)
    lane = (c.x - vx) / below
    c.lay(c.edge(c.y - vy) * (abs(lane) > road), c.pick(GROUND + LEAVES[:2]))
    if c.chance(0.6):
        c.lay(c.edge(c.y - vy) * (abs(abs(lane) - road) < 0.04), 0.75 * c.tint)
    if c.chance(0.6):
        dashes = (0.35 / below + c.u(0, 1)) % 1 < c.u(0.4, 1.2)
        c.lay(c.edge(c.y - vy) * (abs(lane - c.u(-0.2, 0.2)) < 0.04) * dashes, 0.85 * c.tint)


def street_side(c: Canvas, vx: float, vy: float, side: int, road: float) -> None:
    """The houses along one side of a street, from the far end to the near one."""
    gap = road + c.u(0.05, 0.4)
    height, cell = c.u(0.6, 2.0), c.u(0.05, 0.1)
    reach = [0.03, *(0.03 + 0.25 * np.cumsum(c.rng.uniform(0.5, 1.0, 4)) ** 2).tolist()]
    for far, near in pairwise(reach):
        tall = height * c.u(0.7, 1.3)
        xs = [vx + side * far * gap, vx + side * near * gap]
        tops, feet = [vy - far * tall, vy - near * tall], [vy + far, vy + near]
        if side < 0:
            xs, tops, feet = xs[::-1], tops[::-1], feet[::-1]
        facade(c, xs[0], xs[1], tuple(tops), tuple(feet), cell * max(near, 0.15) * 1.5)


def car(c: Canvas, vx: float, vy: float, road: float) -> None:
    """A car seen from behind, sized by its distance."""
    down = c.u(0.04, 0.3)
    x, half = vx + c.u(-0.8, 0.8) * road * down, down * 0.3
    paint = c.rng.random(3).astype(np.float32) * 0.8 * c.tint
    y = vy + down
    c.lay(c.box(x - half, x + half, y - half, y), paint)
    c.lay(c.box(x - half * 0.8, x + half * 0.8, y - half * 1.6, y - half), paint * 0.5)
    c.lay(c.box(x - half * 0.9, x + half * 0.9, y - half * 0.15, y + half * 0.15), np.float32([0.06, 0.06, 0.06]))


def clutter(c: Canvas) -> None:
    """Whatever stands between the camera and the scene: leaves, a pole or an onlooker."""
    kind = c.rng.random()
    shade = c.pick(EARTH + LEAVES + WALLS) * c.u(0.2, 1.0)
    if kind < 0.25:
        leaves = ((c.noise(16, 16, 3) - 0.25 - c.u(0.5, 1.2) * (c.y + abs(c.x - c.u(0, 1)) * 0.5)) * 10).clip(0, 1)
        c.lay(leaves, shade)
    elif kind < 0.65:
        x, half = c.u(0, 1), c.u(0.005, 0.03)
        c.lay(c.box(x - half, x + half, c.u(-0.5, 0.5), c.u(0.7, 1.5)), shade)
    else:
        x, y, r = c.u(0, 1), c.u(0.55, 0.95), c.u(0.04, 0.1)
        c.lay(np.maximum(c.blob(x, y, r, r * 1.25), c.blob(x, y + 4.2 * r, 2.2 * r, 3.2 * r)), shade)
