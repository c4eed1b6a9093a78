"""The synthetic scenes: the same on every run, written whole or not at all, and not solved by colour alone."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth.data import scenes
from lth.data.scenes import CLASSES, render, write


def picture(name: str, index: int, size: int = 150) -> np.ndarray:
    return render(name, np.random.default_rng([7, CLASSES.index(name), index]), size)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("size", [16, 64, 150])
def test_render_gives_varied_rgb_bytes(name, size):
    pixels = picture(name, 0, size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 3


@pytest.mark.parametrize("name", CLASSES)
def test_render_follows_its_generator(name):
    assert np.array_equal(picture(name, 0), picture(name, 0))
    assert not np.array_equal(picture(name, 0), picture(name, 1))


@pytest.mark.parametrize("name", CLASSES)
def test_many_small_pictures_raise_no_warning(name, recwarn):
    for index in range(60):
        picture(name, index, 32)
    assert not list(recwarn)


def test_classes_differ_for_the_same_generator_state():
    drawn = [render(name, np.random.default_rng(3), 64) for name in CLASSES]
    assert all(not np.array_equal(a, b) for a, b in combinations(drawn, 2))


def test_unknown_class_is_refused_with_the_accepted_names():
    with pytest.raises(ValueError, match="desert") as error:
        render("desert", np.random.default_rng(0))
    assert all(name in str(error.value) for name in CLASSES)


def test_tiny_size_is_refused():
    with pytest.raises(ValueError, match="at least 16"):
        render("sea", np.random.default_rng(0), 15)


def test_write_lays_out_class_folders_of_jpegs(tmp_path):
    root = write(tmp_path / "deep" / "scenes", 2, 1)
    assert root == tmp_path / "deep" / "scenes"
    expected = {f"seg_train/{name}/{i}.jpg" for name in CLASSES for i in range(2)}
    expected |= {f"seg_test/{name}/0.jpg" for name in CLASSES}
    assert set(contents(root)) == expected
    for path in expected:
        with Image.open(root / path) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (150, 150), "RGB")


def test_write_gives_the_same_bytes_anywhere_and_begins_larger_sets_with_smaller_ones(tmp_path):
    small = contents(write(tmp_path / "a", 1, 1))
    assert contents(write(tmp_path / "b", 1, 1)) == small
    large = contents(write(tmp_path / "c", 2, 2))
    assert {path: large[path] for path in small} == small
    assert len(set(large.values())) == len(large) == 24


def test_write_depends_on_the_seed(tmp_path):
    first, second = (contents(write(tmp_path / str(seed), 1, 0, seed)) for seed in (0, 1))
    assert all(first[path] != second[path] for path in first)


def test_write_leaves_a_complete_folder_alone(tmp_path, monkeypatch):
    root = write(tmp_path / "scenes", 1, 1)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    monkeypatch.setattr(scenes, "render", lambda *_: pytest.fail("drew a picture again"))
    assert write(root, 1, 1) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_write_refuses_a_folder_that_holds_anything_else(tmp_path):
    root = write(tmp_path / "scenes", 1, 0)
    with pytest.raises(FileExistsError, match="seg_train"):
        write(root, 2, 0)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="mine"):
        write(other, 1, 0)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]


def test_write_refuses_negative_counts(tmp_path):
    with pytest.raises(ValueError, match="negative"):
        write(tmp_path / "scenes", -1, 0)
    assert not list(tmp_path.iterdir())


def test_interrupted_draft_is_ignored(tmp_path):
    draft = tmp_path / ".scenes-left"
    (draft / "seg_train" / "sea").mkdir(parents=True)
    (draft / "seg_train" / "sea" / "0.jpg").write_bytes(b"half a picture")
    root = write(tmp_path / "scenes", 1, 0)
    assert len(contents(root)) == len(CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".scenes-left", "scenes"]


def test_failed_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(scenes, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "scenes", 1, 0)
    assert not list(tmp_path.iterdir())


def test_loser_of_a_race_discards_its_copy(tmp_path, monkeypatch):
    root, draw = tmp_path / "scenes", scenes.render

    def draw_after_the_winner(name, rng):
        monkeypatch.setattr(scenes, "render", draw)
        write(root, 1, 0)
        (root / "winner").touch()
        return draw(name, rng)

    monkeypatch.setattr(scenes, "render", draw_after_the_winner)
    assert write(root, 1, 0) == root
    assert (root / "winner").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_manifest_states_what_was_drawn(tmp_path):
    manifest = json.loads((write(tmp_path / "scenes", 1, 0, 5) / scenes.MANIFEST).read_text())
    assert (manifest["seed"], manifest["seg_train"], manifest["seg_test"]) == (5, 1, 0)


def test_mean_colour_does_not_tell_the_class():
    means = np.array([[picture(name, i, 48).mean(axis=(0, 1)) for i in range(80)] for name in CLASSES])
    centres = means[:, :50].mean(axis=1)
    distances = np.linalg.norm(means[:, 50:, None] - centres, axis=-1)
    accuracy = (distances.argmin(axis=-1) == np.arange(len(CLASSES))[:, None]).mean()
    assert accuracy < 0.55
