"""The drawn scenes: the same on every run, complete or absent, and not solved by colour alone."""

import multiprocessing
import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth.config import Data
from lth.data import scenes, split
from lth.data.scenes import CLASSES, render, write


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}


def test_pictures_of_any_size_differ_by_class_and_generator_alone(recwarn):
    for size in (16, 64, 150):
        drawn = [render(name, np.random.default_rng(seed), size) for name in CLASSES for seed in (3, 4)]
        assert all((pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8) and pixels.std() > 3 for pixels in drawn)
        assert all(not np.array_equal(a, b) for a, b in combinations(drawn, 2))
        assert np.array_equal(drawn[-1], render(CLASSES[-1], np.random.default_rng(4), size))
    assert not list(recwarn)


def test_a_set_is_class_folders_of_jpegs_and_begins_with_the_smaller_set(tmp_path):
    for name, counts, seed in (("small", (1, 1), 0), ("large", (2, 2), 0), ("other", (1, 1), 1)):
        write(counts, seed, tmp_path / name)
    small, large, other = (contents(tmp_path / name) for name in ("small", "large", "other"))
    assert {path: large[path] for path in small} == small
    assert set(large) == {f"{part}/{name}/{i}.jpg" for part in ("seg_train", "seg_test") for name in CLASSES for i in (0, 1)}
    assert len(set(large.values())) == 24
    assert all(small[path] != other[path] for path in small)
    with Image.open(next((tmp_path / "small").rglob("*.jpg"))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (150, 150), "RGB")


def test_helpers_draw_the_same_pictures_and_one_that_fails_is_done_again(tmp_path, monkeypatch):
    write((2, 1), 0, tmp_path / "alone")
    monkeypatch.setattr(scenes, "SHARE", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    write((2, 1), 0, tmp_path / "helped")
    drawn, here = scenes.render, os.getpid()
    monkeypatch.setattr(scenes, "render", lambda *args: drawn(*args) if os.getpid() == here else 1 / 0)
    write((2, 1), 0, tmp_path / "failed")
    assert contents(tmp_path / "alone") == contents(tmp_path / "helped") == contents(tmp_path / "failed")
    assert not multiprocessing.active_children()


def test_a_set_is_rendered_once_and_a_killed_rendering_again(tmp_path, monkeypatch):
    data = Data(name="scenes", image_size=16, cache=str(tmp_path / "cache"), train_per_class=4, test_per_class=1)
    with monkeypatch.context() as patch:
        patch.setattr(scenes, "render", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            split.prepare(data)
    assert not list(tmp_path.glob("cache/*/"))
    splits = split.prepare(data)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (18, 6, 6)
    monkeypatch.setattr(scenes, "render", lambda *_: pytest.fail("rendered again"))
    assert split.prepare(data).hash == splits.hash


def test_mean_colour_does_not_tell_the_class():
    means = np.array(
        [[render(name, np.random.default_rng([c, i]), 32).mean((0, 1)) for i in range(40)] for c, name in enumerate(CLASSES)]
    )
    centres = means[:, :25].mean(axis=1)
    distances = np.linalg.norm(means[:, 25:, None] - centres, axis=-1)
    accuracy = (distances.argmin(axis=-1) == np.arange(len(CLASSES))[:, None]).mean()
    assert accuracy < 0.5
