"""Rendered scenes whose files were damaged are drawn again, the same to the byte, before anything is made of them."""

import os
import shutil
from pathlib import Path

import pytest

from lth.config import Data
from lth.data import scenes, split
from lth.data.made import Made, sums
from lth.errors import DataError
from tests.conftest import decay


def prepared(cache: Path) -> split.Splits:
    data = Data(name="scenes", image_size=16, cache=str(cache), train_per_class=4, test_per_class=1, on_error="skip")
    return split.prepare(data)


DAMAGE = {
    "decayed": lambda root: decay(root / "seg_train" / "sea" / "2.jpg", 99),
    "empty": lambda root: (root / "seg_train" / "sea" / "2.jpg").write_bytes(b""),
    "truncated": lambda root: os.truncate(root / "seg_test" / "sea" / "0.jpg", 700),
    "foreign": lambda root: shutil.copy(root / "seg_test" / "sea" / "0.jpg", root / "seg_train" / "sea" / "9.jpg"),
    "exchanged": lambda root: shutil.copy(root / "seg_train" / "sea" / "0.jpg", root / "seg_train" / "sea" / "1.jpg"),
    "a class missing": lambda root: shutil.rmtree(root / "seg_train" / "sea"),
    "a split missing": lambda root: shutil.rmtree(root / "seg_test"),
    "manifest empty": lambda root: (root / scenes.MANIFEST).write_text(""),
    "manifest foreign": lambda root: (root / scenes.MANIFEST).write_text("[1]"),
    "manifest of before": lambda root: (root / scenes.MANIFEST).write_text(
        '{"version": 1, "seed": 0, "seg_train": 4, "seg_test": 1}'
    ),
    "a file instead": lambda root: [shutil.rmtree(root), root.write_text("foreign")],
}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    cache = tmp_path_factory.mktemp("drawn")
    prepared(cache)
    return cache


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_scenes_are_named_and_drawn_again(drawn, tmp_path, capsys, damage):
    expected = prepared(drawn)
    cache = shutil.copytree(drawn, tmp_path / "cache")
    for pixels in cache.glob("pixels-*/"):
        shutil.rmtree(pixels)
    root = cache / "scenes-4-1-0"
    DAMAGE[damage](root)
    capsys.readouterr()
    found = prepared(cache)
    assert f"{root} is damaged" in capsys.readouterr().err
    assert found.fingerprint == expected.fingerprint
    assert (found.train_images.images.array == expected.train_images.images.array).all()
    assert prepared(cache).fingerprint == expected.fingerprint
    assert capsys.readouterr().err == ""


def test_pixels_of_other_scenes_are_refused(drawn, tmp_path):
    cache = shutil.copytree(drawn, tmp_path / "cache")
    for pixels in cache.glob("pixels-*/"):
        shutil.rmtree(pixels)
    picture = cache / "scenes-4-1-0" / "seg_train" / "sea" / "2.jpg"
    whole, times = picture.read_bytes(), picture.stat()
    decay(picture, 99)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Made, "recorded", lambda own: sums(own.root, own.parts))  # nobody looks
        prepared(cache)
    picture.write_bytes(whole)
    os.utime(picture, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Made(cache / "scenes-4-1-0", scenes.SPLITS, scenes.MANIFEST, lambda: None).whole()
    with pytest.raises(DataError, match="pixels that are not those of its scenes; delete it"):
        prepared(cache)


def test_what_killed_processes_drew_is_cleared_away(drawn, tmp_path):
    left = tmp_path / ".scenes-4-1-0-abc"
    left.mkdir()
    prepared(tmp_path)
    assert not left.exists()
