"""Decoding: what the pixels are, what the hash follows, and what is said of files that cannot be decoded."""

import os
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lth.config import Data
from lth.data import decoded
from lth.errors import DataError
from tests.conftest import decay, write_images


def load(root, cache, size=20, **options):
    return decoded.load(root, Data(image_size=size, cache=str(cache), **options))


def test_pixels_are_decoded_once_and_again_where_they_are_damaged(tmp_path, monkeypatch, capsys):
    root, cache = write_images(tmp_path / "a", 3), tmp_path / "cache"
    first = load(root, cache)
    pixels = first.take(np.arange(9))
    for damage in ("images.npy", "hashes.npy", None):
        if damage:
            decay(next(cache.glob(f"pixels-*/{damage}")), 5)
        else:
            monkeypatch.setattr(decoded, "decode", lambda *_: pytest.fail("decoded again"))
        again = load(root, cache)
        assert ("is damaged" in capsys.readouterr().err) == bool(damage)
        assert np.array_equal(again.take(np.arange(9)), pixels)
        assert (again.names, again.hash) == (first.names, first.hash)
        assert again.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_the_hash_follows_contents_and_names_not_the_place(tmp_path, monkeypatch):
    root = write_images(tmp_path / "a", 3)
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    os.utime(moved / "down" / "000.png", (1, 1))
    hashes = [load(place, tmp_path / "cache").hash for place in (root, moved)]
    hashes.append(load(root, tmp_path / "cache", size=9, channels=1, cache_limit=0.0).hash)
    assert len(set(hashes)) == 1
    Image.new("RGB", (20, 20)).save(moved / "down" / "000.png")
    (root / "down" / "000.png").rename(root / "down" / "x.png")
    assert len({load(place, tmp_path / "cache").hash for place in (root, moved)} - set(hashes)) == 2
    before = load(root, tmp_path / "cache").hash
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    assert load(root, tmp_path / "cache").hash != before, "other pixels are other rounds"


def test_the_hash_keeps_its_value_as_it_is_in_the_key_of_every_round(tmp_path):
    images = load(write_images(tmp_path / "a", 1), tmp_path)
    images = replace(images, names=["a/0.png", "b/1.png"], file_hashes=np.array([[0] * 32, [255] * 32], np.uint8))
    assert images.hash == "84e3b14d6c4f5451.1"


@pytest.mark.parametrize(("age", "verify", "seen"), [(9, False, False), (9, True, True), (0, False, True)])
def test_a_file_of_the_same_size_time_and_inode_is_trusted_but_a_young_one_or_on_request(tmp_path, capsys, age, verify, seen):
    root, cache, then = write_images(tmp_path / "a", 2), tmp_path / "cache", time.time_ns() - age * 10**9
    (root / "down" / "000.png").write_bytes(b"skipped, so that the hashes are not in the order of all files")
    for file in root.rglob("*.png"):
        os.utime(file, ns=(then, then))
    first, path = load(root, cache, on_error="skip"), root / "plain" / "000.png"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, ns=(then, then))
    again = load(root, cache, on_error="skip", verify=verify)
    assert (again.hash != first.hash) == ("plain/000.png has other contents" in capsys.readouterr().err) == seen
    assert load(root, cache, on_error="skip").hash == again.hash


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another(tmp_path):
    root = write_images(tmp_path / "a", 2)
    path, hashes = root / "down" / "001.png", []
    for byte in (b"!", b"?"):
        os.utime(path, (9, 9))
        hashes.append(load(root, tmp_path / "cache").hash)
        (root / "new").write_bytes(path.read_bytes()[:-1] + byte)
        os.replace(root / "new", path)
    assert hashes[0] != hashes[1]


def test_files_that_cannot_be_decoded_are_named_up_to_ten_or_skipped(tmp_path):
    root = write_images(tmp_path / "a", 12)
    paths = sorted((root / "down").iterdir())
    for count, named in ((1, 1), (2, 2), (12, 10)):
        for path in paths[:count]:
            path.write_bytes(b"\x89PNG nothing")
        with pytest.raises(DataError) as error:
            load(root, tmp_path / "cache")
        assert str(error.value).startswith(f"{count} of 36 images cannot be used: the image {paths[0]} cannot be decoded (")
        assert str(error.value).count("cannot be decoded (cannot identify image file)") == named
        assert str(error.value).endswith(". data.on_error=skip leaves them out.")
        assert not list((tmp_path / "cache").glob("*/"))
    with pytest.raises(DataError, match=r"no image in the class folder .*down can be decoded"):
        load(root, tmp_path / "skip", on_error="skip")
    Image.new("RGB", (20, 20), "red").save(paths[3])
    left = load(root, tmp_path / "skip", on_error="skip")
    assert left.skipped == [f"down/{path.name}" for path in paths if path != paths[3]]
    assert len(left.paths) == len(left.array) == len(left.file_hashes) == 25
    assert left.labels.tolist() == [0] * 12 + [1] + [2] * 12
    assert left.take(np.array([12]))[0, 0, 0].tolist() == [255, 0, 0]


def picture(tmp_path, image: Image.Image, **options) -> np.ndarray:
    image.save(tmp_path / "x.png", **options)
    return decoded.decode(tmp_path / "x.png", 16)


def test_sixteen_bit_grey_is_scaled_and_exif_orientation_is_applied(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    scaled = picture(tmp_path, Image.fromarray(grey.astype(np.uint16) * 256))
    assert np.array_equal(scaled, np.repeat(grey[..., None], 3, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise to be upright
    image = Image.fromarray(scaled)
    assert np.array_equal(picture(tmp_path, image, exif=exif), np.asarray(image.transpose(Image.Transpose.ROTATE_270)))
