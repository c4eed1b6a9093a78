import io
import shutil
import sys

import pytest

from lth.config import Data
from lth.data import overview, progress, split
from tests.conftest import write_images


@pytest.fixture(autouse=True)
def fresh():
    overview._tell.cache_clear()


def prepared(root, tmp_path, **options):
    data = Data(name="folder", root=str(root), image_size=8, cache=str(tmp_path / "cache"), **options)
    return split.prepare(data), data


def test_one_line_on_one_folder(tmp_path):
    root = write_images(tmp_path / "d", 20)
    line = overview.line(*prepared(root, tmp_path, val_fraction=1 / 12))
    assert line == "3 classes (across, down, plain): 45 train, 3 val (8.33% of train), 12 test (20% of all) images"


def test_one_line_on_folders_of_parts_skipped_images_and_other_folders(tmp_path):
    for name, count in (("train", 6), ("Valid", 2), ("test", 4), ("extra", 1)):
        write_images(tmp_path / "d" / name, count)
    (tmp_path / "d" / "train" / "down" / "000.png").write_bytes(b"")
    (tmp_path / "d" / "test" / "down" / "001.png").write_bytes(b"")
    splits, data = prepared(tmp_path / "d", tmp_path, on_error="skip")
    assert overview.line(splits, data) == (
        "3 classes (across, down, plain): 17 train, 6 val (in Valid/), 11 test images, 2 skipped; not used: extra"
    )
    where = tmp_path / "d"
    assert overview.warnings(splits)[0] == (
        f"2 images cannot be decoded and are skipped: {where}/train/down/000.png, {where}/test/down/001.png."
    )


def test_many_classes_and_many_skipped_images_are_counted(tmp_path):
    write_images(tmp_path / "d", 3)
    for i in range(40):
        shutil.copytree(tmp_path / "d" / "down", tmp_path / "d" / f"x{i:04d}")
    for i in range(12):
        (tmp_path / "d" / "down" / f"bad{i:02d}.png").write_bytes(b"")
    splits, data = prepared(tmp_path / "d", tmp_path, on_error="skip", test_fraction=0.1)
    assert overview.line(splits, data).startswith("43 classes (across, down, plain, x0000, x0001, and 38 more): 43 train, ")
    assert overview.warnings(splits)[0].count("bad") == 10
    assert overview.warnings(splits)[0].startswith("12 images cannot be decoded and are skipped: ")


def test_it_is_said_once_for_all_jobs_of_a_process(tmp_path, capsys):
    splits, data = prepared(write_images(tmp_path / "d", 6), tmp_path)
    overview.tell(splits, data, print)
    overview.tell(splits, data, print)
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("terminal", [False, True])
def test_short_work_is_not_displayed(monkeypatch, terminal):
    monkeypatch.setattr(sys, "stderr", screen := Screen(terminal))
    assert list(progress.shown(range(3), 3, "decoding 3 images")) == [0, 1, 2]
    assert screen.getvalue() == ""


def test_long_work_is_displayed(monkeypatch):
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(sys, "stderr", screen := Screen(False))
    assert list(progress.shown(range(3), 3, "decoding 3 images")) == [0, 1, 2]
    assert screen.getvalue() == "lth: decoding 3 images ...\nlth: decoding 3 images: done in 0 s\n"
    monkeypatch.setattr(sys, "stderr", screen := Screen(True))
    list(progress.shown(range(3), 3, "decoding 3 images"))
    assert "decoding 3 images" in screen.getvalue()
    assert "0/3" in screen.getvalue()


class Screen(io.StringIO):
    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal
