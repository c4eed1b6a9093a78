"""The synthetic scenes: the same on every run, complete or absent, and not solved by colour alone."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth.config import Data
from lth.data import scenes, split
from lth.data.scenes import CLASSES, fetch, render


def picture(name: str, index: int, size: int = 150) -> np.ndarray:
    return render(name, np.random.default_rng([7, CLASSES.index(name), index]), size)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}


@pytest.mark.parametrize("name", CLASSES)
def test_pictures_are_varied_rgb_bytes_that_follow_the_generator(name):
    for size in (16, 64, 150):
        pixels = picture(name, 0, size)
        assert (pixels.shape, pixels.dtype) == ((size, size, 3), np.uint8)
        assert pixels.std() > 3
        assert np.array_equal(pixels, picture(name, 0, size))
        assert not np.array_equal(pixels, picture(name, 1, size))


@pytest.mark.parametrize("name", CLASSES)
def test_many_small_pictures_raise_no_warning(name, recwarn):
    for index in range(60):
        picture(name, index, 32)
    assert not list(recwarn)


def test_classes_differ_for_the_same_generator_state():
    drawn = [render(name, np.random.default_rng(3), 64) for name in CLASSES]
    assert all(not np.array_equal(a, b) for a, b in combinations(drawn, 2))


def test_a_set_is_class_folders_of_jpegs_and_begins_with_the_smaller_set(tmp_path):
    small = contents(fetch(tmp_path / "a", 1, 1, 0))
    assert contents(fetch(tmp_path / "b", 1, 1, 0)) == small
    large = contents(fetch(tmp_path / "a", 2, 2, 0))
    assert {path: large[path] for path in small} == small
    assert set(large) == {f"{part}/{name}/{i}.jpg" for part in ("seg_train", "seg_test") for name in CLASSES for i in (0, 1)}
    assert len(set(large.values())) == 24
    other = contents(fetch(tmp_path / "a", 1, 1, 1))
    assert all(small[path] != other[path] for path in small)
    with Image.open(next((tmp_path / "a").rglob("*.jpg"))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (150, 150), "RGB")


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
    means = np.array([[picture(name, i, 48).mean(axis=(0, 1)) for i in range(80)] for name in CLASSES])
    centres = means[:, :50].mean(axis=1)
    distances = np.linalg.norm(means[:, 50:, None] - centres, axis=-1)
    accuracy = (distances.argmin(axis=-1) == np.arange(len(CLASSES))[:, None]).mean()
    assert accuracy < 0.55
