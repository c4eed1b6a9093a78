import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from lth.data import decoded, sources
from lth.errors import DataError
from tests.conftest import CLASSES, write_images


def load(root, cache, size=20, **options):
    return decoded.load(sources.list_images(root), size, cache, **options)


def test_the_array_is_what_pillow_decodes_in_name_order(tmp_path):
    root = write_images(tmp_path / "a", 5, suffix="jpg")
    found = load(root, tmp_path / "cache")
    assert found.classes == sorted(CLASSES)
    assert found.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    for i, path in enumerate(found.paths):
        assert np.array_equal(found.images.take(np.array([i]))[0], np.asarray(Image.open(path).convert("RGB")))


def test_it_is_decoded_once(tmp_path, monkeypatch):
    root = write_images(tmp_path / "a", 3)
    first = load(root, tmp_path / "cache")
    monkeypatch.setattr(decoded, "decode", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(load(root, tmp_path / "cache").images.take(np.arange(9)), first.images.take(np.arange(9)))


def test_the_fingerprint_follows_the_content_not_the_place(tmp_path):
    root = write_images(tmp_path / "a", 3)
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    os.utime(moved / "down" / "000.png", (1, 1))
    one, two = load(root, tmp_path / "cache"), load(moved, tmp_path / "cache2")
    assert one.fingerprint == two.fingerprint
    Image.new("RGB", (20, 20)).save(moved / "down" / "000.png")
    assert load(moved, tmp_path / "cache2").fingerprint != one.fingerprint


def test_streamed_images_equal_the_cached_ones(tmp_path):
    root = write_images(tmp_path / "a", 4)
    cached, streamed = load(root, tmp_path / "c", size=12), load(root, tmp_path / "c", size=12, limit=0.0)
    assert (cached.streamed, streamed.streamed) == (False, True)
    assert cached.fingerprint == streamed.fingerprint
    some = np.array([7, 0, 11])
    assert np.array_equal(cached.images.take(some), streamed.images.take(some))
    assert not list((tmp_path / "c").glob("stream-*/images.npy"))


def test_a_corrupt_file_is_named_or_skipped(tmp_path):
    root = write_images(tmp_path / "a", 3)
    (root / "down" / "001.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(DataError, match=r"down/001\.png cannot be decoded"):
        load(root, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("pixels-*/meta.json"))
    found = load(root, tmp_path / "cache", on_error="skip")
    assert found.skipped == ["down/001.png"]
    assert len(found.labels) == len(found.paths) == len(found.images.array) == 8
    assert found.labels.tolist() == [0] * 3 + [1] * 2 + [2] * 3


def test_all_corrupt_files_are_named_up_to_ten(tmp_path):
    root = write_images(tmp_path / "a", 12)
    for path in list((root / "down").iterdir())[:2]:
        path.write_bytes(b"")
    with pytest.raises(DataError) as error:
        load(root, tmp_path / "cache")
    assert str(error.value).startswith("2 images cannot be used: the image ")
    assert str(error.value).count("down/0") == 2
    assert str(error.value).endswith("cannot identify image file). data.on_error=skip leaves them out and goes on.")
    for path in (root / "down").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError) as error:
        load(root, tmp_path / "cache")
    assert str(error.value).startswith("12 images cannot be used: ")
    assert str(error.value).count("cannot be decoded") == 10
    assert not list((tmp_path / "cache").glob("*.draft"))


def test_another_way_of_decoding_is_another_fingerprint(tmp_path, monkeypatch):
    root = write_images(tmp_path / "a", 2)
    before, files = load(root, tmp_path / "cache").fingerprint, load(root, tmp_path / "cache").files
    monkeypatch.setattr(decoded, "VERSION", decoded.VERSION + 1)
    after = load(root, tmp_path / "cache")
    assert after.files == files
    assert after.fingerprint != before


def test_a_hook_is_called_before_decoding_alone(tmp_path):
    root, calls = write_images(tmp_path / "a", 2), []
    load(root, tmp_path / "cache", before=lambda: calls.append(len(list((tmp_path / "cache").glob("*/meta.json")))))
    assert calls == [0]
    load(root, tmp_path / "cache", before=lambda: pytest.fail("nothing is decoded"))


def test_a_class_of_which_nothing_can_be_decoded_is_an_error(tmp_path):
    root = write_images(tmp_path / "a", 2)
    for path in (root / "down").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"no image in the class folder .*down can be decoded"):
        load(root, tmp_path / "cache", on_error="skip")


def test_a_build_that_was_interrupted_is_built_again(tmp_path):
    root = write_images(tmp_path / "a", 2)
    done = load(root, tmp_path / "cache")
    folder = next((tmp_path / "cache").glob("pixels-*/"))
    expected = done.images.take(np.arange(6))
    (folder / "meta.json").unlink()
    (folder / "images.npy").write_bytes(b"half")
    (folder.parent / (folder.name + ".draft")).mkdir()
    assert np.array_equal(load(root, tmp_path / "cache").images.take(np.arange(6)), expected)


def picture(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return decoded.decode(tmp_path / name, image.size[0])


def test_grey_palette_alpha_and_deep_images_become_rgb(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(picture(tmp_path, Image.fromarray(grey)), np.repeat(grey[..., None], 3, 2))
    assert np.array_equal(picture(tmp_path, Image.fromarray(grey.astype(np.uint16) * 256)), np.repeat(grey[..., None], 3, 2))
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 4, (8, 8, 3), np.uint8) * 60)
    assert np.array_equal(picture(tmp_path, rgb.convert("P", palette=Image.Palette.ADAPTIVE)), np.asarray(rgb))
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert picture(tmp_path, clear).min() == 255
    assert picture(tmp_path, Image.new("LA", (8, 8), (10, 255))).max() == 10
    assert picture(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.jpg", quality=95)[0, 0, 0] > 200


def test_one_channel_is_the_luminance_and_keeps_grey_values(tmp_path):
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(decoded.decode(tmp_path / "grey.png", 16, 1)[..., 0], grey)
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    rgb.save(tmp_path / "rgb.png")
    assert np.array_equal(decoded.decode(tmp_path / "rgb.png", 8, 1)[..., 0], np.asarray(rgb.convert("L")))


def test_grey_arrays_have_a_name_of_their_own_and_the_same_fingerprint(tmp_path):
    root = write_images(tmp_path / "a", 3)
    rgb, grey = load(root, tmp_path / "c"), load(root, tmp_path / "c", channels=1)
    streamed = load(root, tmp_path / "c", channels=1, limit=0.0)
    every = np.arange(9)
    assert grey.images.array.shape == (9, 20, 20, 1)
    assert np.array_equal(streamed.images.take(every), grey.images.take(every))
    assert grey.fingerprint == rgb.fingerprint
    assert len(list((tmp_path / "c").glob("pixels-*/meta.json"))) == 2


def test_the_name_of_colour_arrays_is_what_it_always_was(tmp_path):
    root = write_images(tmp_path / "a", 1)
    total = hashlib.sha256(f"1 20 fail {root}".encode())
    for path in sorted(root.rglob("*.png")):
        total.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size} {path.stat().st_mtime_ns}\n".encode())
    load(root, tmp_path / "cache")
    assert [p.parent.name for p in (tmp_path / "cache").glob("*/meta.json")] == [f"pixels-{total.hexdigest()[:16]}"]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees clockwise to be upright
    got = picture(tmp_path, image, exif=exif)
    assert np.array_equal(got, np.asarray(image.transpose(Image.Transpose.ROTATE_270)))


def test_other_sizes_are_resized(tmp_path):
    Image.new("RGB", (31, 7), "red").save(tmp_path / "x.png")
    assert np.array_equal(decoded.decode(tmp_path / "x.png", 10), np.full((10, 10, 3), (255, 0, 0), np.uint8))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "a folder", "missing"])
def test_damaged_digests_are_named_and_made_again(tmp_path, capsys, damage):
    listing = sources.list_images(write_images(tmp_path / "images", 4))
    expected = decoded.load(listing, 8, tmp_path / "cache").digests
    (place,) = (tmp_path / "cache").glob("pixels-*/digests.bin")
    whole = place.read_bytes()
    place.unlink()
    if damage == "a folder":
        place.mkdir()
    elif damage != "missing":
        flipped = bytes([whole[0] ^ 1]) + whole[1:]
        place.write_bytes({"flipped": flipped, "truncated": whole[:-5], "empty": b""}[damage])
    assert (decoded.load(listing, 8, tmp_path / "cache").digests == expected).all()
    assert (f"{place} is damaged" in capsys.readouterr().err) == (damage != "missing")
    assert place.read_bytes() == whole
    decoded.load(listing, 8, tmp_path / "cache")
    assert capsys.readouterr().err == ""
