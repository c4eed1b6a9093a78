"""Painters of the open-country scenes (mountain, glacier, sea, forest) and of what other scenes borrow from them."""

import numpy as np

from lth.data.scenes.canvas import EARTH, GREENS, GROUND, ICE, LEAVES, Array, Canvas, Colours

_BARK = [(0.70, 0.70, 0.68), (0.20, 0.16, 0.13)]
_WATERS = [(0.08, 0.30, 0.45), (0.14, 0.42, 0.50), (0.26, 0.35, 0.43), (0.10, 0.22, 0.40)]


def sky(c: Canvas, horizon: float) -> None:
    """Fill the canvas with a cloudy sky whose gradient ends at y = horizon."""
    t = (c.y / max(horizon, 0.1)).clip(0, 1) ** c.u(0.7, 1.6)
    c.img[:] = c.zenith + (c.horizon - c.zenith) * t[..., None]
    cover = ((c.noise(c.u(2, 4), c.u(3, 8)) - c.u(0.35, 0.7)) * c.u(1.5, 4)).clip(0, 1)
    c.lay(cover * c.u(0.3, 0.9), c.horizon * c.u(0.75, 1.1) + 0.08)


def ranges(c: Canvas, base: float, height: float, snow_odds: float, count: int) -> None:
    """``count`` ridges from far to near, the farthest with crests ``height`` above y = base."""
    rock = c.pick(EARTH)
    for k in range(count):
        line = base - height * (1 - 0.75 * k / count) * (0.55 + c.outline(c.u(1.5, 4), c.u(0.38, 0.55)))
        if k == 0 and c.chance(0.5):
            line = line - height * 0.6 * (1 - abs(c.x - c.u(0.1, 0.9)) * c.u(2, 5)).clip(0)
        snow = c.u(0.05, 0.35) if c.chance(snow_odds) else -1.0
        ridge(c, line, rock if c.chance(0.6) else c.pick(EARTH + LEAVES), snow, c.haze * (1.2 - (k + 1) / count))


def ridge(c: Canvas, line: Array, rock: Array, snow: float, haze: float) -> None:
    """One range of hills below the outline ``line`` (1, n), with snow to ``snow`` below its crest; -1: none."""
    grain = c.noise(7, 5)
    # A face takes the slope of the crest above it; noise moves the border so that it zigzags downhill.
    at = (c.x * c.n + (grain - 0.5) * 0.35 * c.n).astype(np.int32).clip(0, c.n - 1)
    shade = 0.75 + 0.35 * np.tanh(np.gradient(line[0]) * c.n)[at] + 0.7 * (grain - 0.5)
    cap = ((snow - (c.y - line) + (grain - 0.5) * 0.5) * 12).clip(0, 1)
    weights = np.stack([shade * (1 - cap), (0.52 + 0.4 * shade) * cap], axis=2) * np.float32(1 - haze)
    c.lay(c.inside(c.y - line), weights @ np.stack([rock, c.tint]) + np.float32(haze) * c.horizon)


def water(c: Canvas, top: float, horizon: float, swell: float = 0.5) -> None:
    """Water below y = top, with waves in perspective and foam; swell is their contrast, low on lakes."""
    waves = swell * (c.plane(c.noise(c.u(10, 18), c.u(28, 45), 2), horizon, c.u(0.15, 0.5)) - 0.5)
    deep = c.pick(_WATERS) * c.u(0.7, 1.0) + c.u(0, 0.3) * c.horizon
    below = c.inside(c.y - top)
    c.lay(below, deep + (c.u(0.5, 1.0) * waves)[..., None] * c.horizon)
    if c.chance(0.6):
        c.lay(below * ((waves - c.u(0.12, 0.3)) * 8).clip(0, 1), 0.9 * c.tint)


def meadow(c: Canvas, top: Array | float, table: Colours) -> None:
    """Textured open ground below y = top, a height or an outline (1, n)."""
    texture = c.plane(c.noise(8, 16, 3), float(np.mean(top)) - 0.02, 0.2)
    c.lay(c.inside(c.y - top), c.pick(table) * (0.8 + 0.4 * texture[..., None]))


def foliage(c: Canvas, grains: float) -> Array:
    """A picture (n, n, 3) of leaves in one colour, mostly a green, deeply shaded."""
    return c.pick(LEAVES + 3 * GREENS) * (2.4 * c.noise(grains, grains, 2)[..., None] - 0.4).clip(0.08)


def conifers(c: Canvas, base: float, height: float, count: int) -> None:
    """A row of dark pointed trees standing on y = base."""
    x, slope, tall = c.rng.random(count), c.rng.uniform(3, 6, count), height * c.rng.uniform(0.5, 1.0, count)
    line = (base - tall + abs(c.x.T - x) * slope).min(axis=1)[None, :].astype(np.float32)
    ragged = line + 0.25 * height * (c.noise(20, 14, 2) - 0.5)
    c.lay(c.inside(c.y - ragged) * c.inside(base + 0.03 - c.y), foliage(c, 30))


def paint_mountain(c: Canvas) -> None:
    base = c.u(0.6, 1.0)
    sky(c, base)
    ranges(c, base, c.u(0.35, 0.75), 0.3, int(c.rng.integers(2, 5)))
    if c.chance(0.6):
        meadow(c, base + 0.06 * c.outline(2), LEAVES + GREENS + EARTH + ICE[:1])
    if c.chance(0.35):
        conifers(c, base + c.u(0, 0.15), c.u(0.08, 0.3), 16)


def paint_glacier(c: Canvas) -> None:
    base = c.u(0.15, 0.45)
    sky(c, base)
    ranges(c, base + 0.1, c.u(0.1, 0.4), 0.7, int(c.rng.integers(1, 4)))
    (ice_plain if c.chance(0.45) else ice_wall)(c, base)


def ice_plain(c: Canvas, top: float) -> None:
    """A tongue of ice that comes towards the viewer, with crevasses across it and moraine along it."""
    warp = c.noise(4, 4, 3) - 0.5
    lane = (c.x - c.u(0.2, 0.8)) / (c.y - top + c.u(0.1, 0.8)).clip(0.05) + 0.25 * warp
    across = np.sin(c.u(14, 28) / (c.y - top + 0.25).clip(0.05) * 2 + 5 * lane**2 + c.u(10, 25) * warp)
    picture = c.pick(ICE) * (0.8 + 0.6 * (c.noise(20, 20, 2) - 0.5) + 0.4 * warp)[..., None]
    cracks = (((across - c.u(0.2, 0.7)) * 4).clip(0, 1) * c.u(0.7, 1))[..., None]
    picture = picture + cracks * (c.pick([(0.30, 0.55, 0.75), (0.25, 0.35, 0.45)]) - picture)
    moraine = ((np.sin(lane * c.u(5, 14)) - c.u(0.6, 1.1)) * 4).clip(0, 0.8)[..., None]
    picture = picture + moraine * (c.pick(EARTH) - picture)
    c.lay(c.inside(c.y - top - 0.1 * c.outline(2)) * c.inside((c.u(0.3, 1.2) - abs(lane)) * 0.5), picture)


def ice_wall(c: Canvas, top: float) -> None:
    """The broken front of a glacier, over water or bare ground."""
    foot, crest = top + c.u(0.3, 0.8), top + c.u(0.05, 0.2) * c.outline(5, 0.7)
    flutes = c.noise(c.u(30, 50), 4, 2) + 0.6 * (c.noise(8, 8, 3) - 0.5)
    blue = c.pick([(0.35, 0.62, 0.82), (0.40, 0.50, 0.60)])
    c.lay(c.inside(c.y - crest), blue + ((flutes - 0.2) * 1.8).clip(0, 1)[..., None] * (c.pick(ICE) - blue))
    water(c, foot, foot - c.u(0.05, 0.2))
    if c.chance(0.35):
        meadow(c, foot + 0.05 * c.outline(4), EARTH + ICE)


def paint_sea(c: Canvas) -> None:
    top = c.u(0.18, 0.55)
    sky(c, top)
    if c.chance(0.3):
        ranges(c, top + 0.03, c.u(0.06, 0.3), 0.3, int(c.rng.integers(1, 3)))
    water(c, top, top, 1.4)
    if c.chance(0.5):
        shore = c.u(0.6, 1.0) + c.u(-0.4, 0.4) * (c.x - 0.5) + 0.08 * c.outline(3, 0.4)
        c.lay(c.inside(c.y - shore + c.u(0.01, 0.06)), 0.92 * c.tint)
        meadow(c, shore, GROUND + EARTH)


def paint_forest(c: Canvas) -> None:
    sky(c, 1.0)
    cover = ((c.noise(6, 6, 4) - c.u(0.1, 0.45)) * 8).clip(0, 1)
    c.lay(np.maximum(cover, c.inside(c.y - c.u(0.05, 0.3))), foliage(c, 40))
    ground = c.u(0.55, 1.1)
    meadow(c, ground + 0.06 * c.outline(3), LEAVES + 3 * GREENS + EARTH)
    if c.chance(0.85):
        trunks(c, ground)
    if c.chance(0.7):
        cover = ((c.noise(10, 10, 4) - c.u(0.45, 0.6) - 0.5 * (c.y - c.u(0, 0.5))) * 10).clip(0, 1)
        c.lay(cover, foliage(c, 50))


def trunks(c: Canvas, ground: float) -> None:
    """Tree trunks from far and thin to near and thick, leaning a little."""
    bark, lean, thick = c.pick(EARTH + _BARK), c.u(0.0, 0.12), c.u(0.03, 0.12)
    for near in np.sort(c.rng.random(c.rng.integers(5, 26))).tolist():
        half, middle, tilt = (0.004 + thick * near**3) / 2, c.u(-0.05, 1.05), float(c.rng.normal(0, lean))
        reach = half * 1.3 + abs(tilt) / 2
        at = c.columns(middle - reach, middle + reach)
        across = (c.x[:, at] - middle - tilt * (c.y - 0.5)) / (half * (0.8 + 0.5 * c.y))
        colour = bark * (0.75 - 0.4 * across.clip(-1, 1))[..., None] * c.u(0.6, 1.1)
        colour = colour + (1 - near) * 0.7 * c.haze * (c.horizon - colour)
        c.lay(c.inside((1 - abs(across)) * half) * c.inside(ground + 0.25 * near**2 - c.y), colour, at)
