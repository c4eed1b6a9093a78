import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth.config import Data
from lth.data import decoded
from lth.data.folders import list_images
from lth.errors import DataError
from tests.conftest import decay, write_images


def load(root, cache, size=20, **options):
    return decoded.load(list_images(root), Data(image_size=size, cache=str(cache), **options))


def only(cache: Path, pattern: str) -> Path:
    [path] = cache.glob(pattern)
    return path


def test_pixels_are_decoded_once(tmp_path, monkeypatch):
    root = write_images(tmp_path / "a", 3)
    first = load(root, tmp_path / "cache")
    monkeypatch.setattr(decoded, "decode", lambda *_: pytest.fail("decoded again"))
    again = load(root, tmp_path / "cache")
    assert np.array_equal(again.take(np.arange(9)), first.take(np.arange(9)))
    assert again.names == first.names
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


def test_the_hash_keeps_its_value_as_it_is_in_the_key_of_every_round():
    file_hashes = np.array([[0] * 32, [255] * 32], np.uint8)
    assert decoded.images_hash(["a/0.png", "b/1.png"], file_hashes) == "84e3b14d6c4f5451"


def test_streamed_images_equal_the_cached_ones(tmp_path):
    root = write_images(tmp_path / "a", 4)
    for channels in (1, 3):
        cached = load(root, tmp_path / "c", size=12, channels=channels)
        streamed = load(root, tmp_path / "c", size=12, channels=channels, cache_limit=0.0)
        assert (cached.array.shape, streamed.array) == ((12, 12, 12, channels), None)
        some = np.array([7, 0, 11])
        assert np.array_equal(cached.take(some), streamed.take(some))
    assert not list((tmp_path / "c").glob("stream-*/images.npy"))


def test_damaged_pixels_are_decoded_again(tmp_path, capsys):
    root = write_images(tmp_path / "a", 4)
    cache, intact = tmp_path / "c", load(root, tmp_path / "c")
    pixels, expected = intact.take(np.arange(12)), intact.hash
    for name in ("images.npy", "hashes.npy"):
        path = only(cache, f"pixels-*/{name}")
        decay(path, 5)
        again = load(root, cache)
        assert f"{path} is damaged" in capsys.readouterr().err
        assert np.array_equal(again.take(np.arange(12)), pixels)
        assert again.hash == expected


def test_a_corrupt_file_is_named_or_skipped(tmp_path):
    root = write_images(tmp_path / "a", 3)
    (root / "down" / "001.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError, match=r"down/001\.png cannot be decoded"):
        load(root, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("pixels-*"))[1:], "a lock alone"
    left = load(root, tmp_path / "cache", on_error="skip")
    assert left.skipped == ["down/001.png"]
    assert len(left.paths) == len(left.array) == len(left.file_hashes) == 8
    assert left.labels.tolist() == [0] * 3 + [1] * 2 + [2] * 3
    assert np.array_equal(left.take(np.array([4]))[0], np.asarray(Image.open(root / "down" / "002.png")))


def test_all_corrupt_files_are_named_up_to_ten(tmp_path):
    root = write_images(tmp_path / "a", 12)
    for count, named in ((2, 2), (12, 10)):
        for path in sorted((root / "down").iterdir())[:count]:
            path.write_bytes(b"")
        with pytest.raises(DataError) as error:
            load(root, tmp_path / "cache")
        assert str(error.value).startswith(f"{count} images cannot be used: the image ")
        assert str(error.value).count("cannot be decoded (cannot identify image file)") == named
        assert str(error.value).endswith(". data.on_error=skip leaves them out and goes on.")
    with pytest.raises(DataError, match=r"no image in the class folder .*down can be decoded"):
        load(root, tmp_path / "cache", on_error="skip")
    assert not list((tmp_path / "cache").glob("*/"))


def picture(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return decoded.decode(tmp_path / name, image.size[0])


def test_grey_palette_alpha_and_deep_images_become_rgb(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(picture(tmp_path, Image.fromarray(grey)), np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(picture(tmp_path, Image.fromarray(grey.astype(np.uint16) * 256)), np.repeat(grey[..., None], 3, 2))
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 4, (8, 8, 3), np.uint8) * 60)
    assert np.array_equal(picture(tmp_path, rgb.convert("P", palette=Image.Palette.ADAPTIVE)), np.asarray(rgb))
    assert picture(tmp_path, Image.new("RGBA", (8, 8), (10, 20, 30, 0))).min() == 255
    assert picture(tmp_path, Image.new("LA", (8, 8), (10, 255))).max() == 10
    assert picture(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.jpg", quality=95)[0, 0, 0] > 200


def test_one_channel_is_the_luminance_and_keeps_grey_values(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(decoded.decode(tmp_path / "grey.png", 16, 1)[..., 0], grey)


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise to be upright
    assert np.array_equal(picture(tmp_path, image, exif=exif), np.asarray(image.transpose(Image.Transpose.ROTATE_270)))
