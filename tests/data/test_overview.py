"""What a run says of its images: one line, and a warning for each fault."""

import io
import shutil
import sys
import time

import pytest

from lth.config import Data
from lth.data import cache, overview, split
from lth.errors import notice_once
from tests.conftest import write_images


def prepared(root, tmp_path, **options):
    data = Data(name="folder", root=str(root), image_size=8, cache=str(tmp_path / "cache"), **options)
    return split.prepare(data), data


def test_one_line_on_one_folder(tmp_path):
    root = write_images(tmp_path / "d", 20)
    line = overview.line(*prepared(root, tmp_path, val_fraction=1 / 12))
    assert line == "3 classes (across, down, plain): 45 train, 3 val (8.33% of train), 12 test (20% of all) images"


def test_one_line_on_folders_of_parts_and_a_warning_of_skipped_images_once(tmp_path, capsys):
    for seed, (name, count) in enumerate({"train": 6, "Valid": 2, "test": 4, "extra": 1}.items()):
        write_images(tmp_path / "d" / name, count, seed)
    (tmp_path / "d" / "train" / "down" / "000.png").write_bytes(b"")
    (tmp_path / "d" / "test" / "down" / "001.png").write_bytes(b"")
    splits, data = prepared(tmp_path / "d", tmp_path, on_error="skip")
    notice_once.cache_clear()
    for _ in range(2):
        overview.tell(splits, data, print)
    printed, where = capsys.readouterr(), tmp_path / "d"
    assert printed.out.splitlines()[0] == (
        "3 classes (across, down, plain): 17 train, 6 val (in Valid/), 11 test images, 2 skipped; not used: extra"
    )
    assert printed.err == (
        "lth: warning: images that cannot be decoded and are skipped: 2 "
        f"({where}/train/down/000.png, {where}/test/down/001.png).\n"
    )


def test_many_classes_and_many_skipped_images_are_shortened(tmp_path):
    write_images(tmp_path / "d", 3)
    for i in range(40):
        shutil.copytree(tmp_path / "d" / "down", tmp_path / "d" / f"x{i:04d}")
    for i in range(12):
        (tmp_path / "d" / "down" / f"bad{i:02d}.png").write_bytes(b"")
    splits, data = prepared(tmp_path / "d", tmp_path, on_error="skip", test_fraction=0.1)
    assert overview.line(splits, data).startswith("43 classes (across, down, plain, x0000, x0001, ...): 43 train, ")
    assert overview.warnings(splits)[0].count("bad") == 10


def counts(root, tmp_path) -> list[str]:
    """The warnings without what follows from them."""
    return [sentence.partition(";")[0] for sentence in overview.warnings(prepared(root, tmp_path)[0])]


def test_duplicates_between_parts_and_classes_are_counted(tmp_path):
    root = tmp_path / "d"
    for seed, (part, count) in enumerate({"train": 8, "val": 3, "test": 3}.items()):
        write_images(root / part, count, seed)
    assert counts(root, tmp_path) == []
    shutil.copy(root / "train" / "down" / "000.png", root / "val" / "down" / "a.png")
    shutil.copy(root / "train" / "down" / "001.png", root / "val" / "plain" / "b.png")
    shutil.copy(root / "val" / "plain" / "000.png", root / "test" / "plain" / "c.png")
    assert counts(root, tmp_path) == [
        "test images that also train or validate, byte by byte: 1 of 10",
        "validation images that also train, byte by byte: 2 of 11",
        "images in more than one class, byte by byte: 1",
    ]


def test_duplicates_inside_one_folder_are_counted_where_they_are_parted(tmp_path):
    root = write_images(tmp_path / "d", 30)
    for i in range(30):
        shutil.copy(root / "down" / f"{i:03d}.png", root / "down" / f"copy{i:03d}.png")
    assert [sentence.split()[0] for sentence in counts(root, tmp_path)] == ["test", "validation"]


@pytest.mark.parametrize(("seconds", "displayed"), [(0, False), (0.6, True)])
def test_long_work_is_displayed_and_short_work_is_not(monkeypatch, seconds, displayed):
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    monkeypatch.setattr(screen, "isatty", lambda: True, raising=False)
    list(cache.shown((time.sleep(seconds) for _ in range(3)), 3, "decoding 3 images"))
    assert ("lth: decoding 3 images:" in screen.getvalue()) == displayed
