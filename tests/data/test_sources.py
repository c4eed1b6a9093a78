import shutil
import sys

import numpy as np
import pytest

from lth.config import Data
from lth.data import sources, split
from lth.errors import DataError
from tests.conftest import write_images


def data(root, tmp_path, **options):
    return Data(name=options.pop("name", "folder"), root=str(root), image_size=20, cache=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("seg_train", "seg_test"), ("seg_train/seg_train", "seg_test/seg_test")]
)
@pytest.mark.parametrize("name", ["folder", "intel", "mnist", "cifar10"])
def test_train_and_test_folders_are_found(tmp_path, train, test, name):
    write_images(tmp_path / "d" / train, 6)
    write_images(tmp_path / "d" / test, 4, seed=1)
    found = split.prepare(data(tmp_path / "d", tmp_path, name=name))
    assert (len(found.train), len(found.val), len(found.test)) == (15, 3, 12)
    assert found.train_images is not found.test_images


def test_one_folder_is_split_in_three(tmp_path):
    found = split.prepare(data(write_images(tmp_path / "d", 20), tmp_path))
    assert (len(found.train), len(found.val), len(found.test)) == (42, 6, 12)
    assert sorted([*found.train, *found.val, *found.test]) == list(range(60))
    assert np.bincount(found.test_images.labels[found.test]).tolist() == [4, 4, 4]


def test_the_split_is_stratified_seeded_and_never_empty():
    labels = np.array([0] * 100 + [1] * 10 + [2] * 2)
    rest, part = split.stratified(labels, 0.15, 0)
    assert np.bincount(labels[part]).tolist() == [15, 2, 1]
    assert sorted([*rest, *part]) == list(range(112))
    assert part.tolist() == split.stratified(labels, 0.15, 0)[1].tolist() != split.stratified(labels, 0.15, 1)[1].tolist()
    with pytest.raises(DataError, match="single training image"):
        split.stratified(np.array([0, 0, 1]), 0.5, 0)


def test_folders_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.root=.*nowhere is no folder"):
        split.prepare(data(tmp_path / "nowhere", tmp_path))
    with pytest.raises(DataError, match=r"data\.root=null is not accepted with data=folder"):
        split.prepare(Data(name="folder"))
    root = write_images(tmp_path / "d", 3)
    (root / "empty").mkdir()
    with pytest.raises(DataError, match=r"class folder .*empty holds no image"):
        split.prepare(data(root, tmp_path))
    (tmp_path / "flat").mkdir()
    with pytest.raises(DataError, match=r"holds 0 class folders"):
        split.prepare(data(tmp_path / "flat", tmp_path))


def test_an_archive_is_to_be_unpacked(tmp_path):
    (tmp_path / "mnist.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"data\.root=.*mnist\.zip is a file: if it is an archive, unpack it"):
        sources.locate(Data(name="mnist", root=str(tmp_path / "mnist.zip")))


def test_train_and_test_classes_that_differ_are_named(tmp_path):
    write_images(tmp_path / "d" / "train", 4)
    write_images(tmp_path / "d" / "test", 4)
    shutil.rmtree(tmp_path / "d" / "test" / "plain")
    with pytest.raises(DataError, match="different class folders: plain"):
        split.prepare(data(tmp_path / "d", tmp_path))


def test_intel_without_a_folder_and_without_kagglehub_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(DataError, match=r"kagglehub.*data\.root=DIR.*data=scenes"):
        sources.locate(Data(name="intel"))


def test_a_download_that_fails_says_what_to_do(monkeypatch):
    class Hub:
        @staticmethod
        def dataset_download(name):
            raise ConnectionError("no network")

    monkeypatch.setitem(sys.modules, "kagglehub", Hub)
    with pytest.raises(DataError, match=r"download of .* failed \(ConnectionError\).*data\.root=DIR.*data=scenes"):
        sources.locate(Data(name="intel"))


def test_a_download_that_works_is_used(monkeypatch, tmp_path):
    write_images(tmp_path / "seg_train" / "seg_train", 2)
    write_images(tmp_path / "seg_test" / "seg_test", 2)

    class Hub:
        @staticmethod
        def dataset_download(name):
            assert name == "puneet6060/intel-image-classification"
            return str(tmp_path)

    monkeypatch.setitem(sys.modules, "kagglehub", Hub)
    assert sources.locate(Data(name="intel")).train == tmp_path / "seg_train" / "seg_train"


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    root = write_images(tmp_path / "d", 2)
    (root / "down" / "notes.txt").write_text("no image")
    (root / "down" / ".hidden.png").write_text("no image")
    (root / "down" / ".thumbnails").mkdir()
    (root / "down" / ".thumbnails" / "000.png").write_text("no image")
    (root / ".git").mkdir()
    listing = sources.list_images(root)
    assert listing.classes == ["across", "down", "plain"]
    assert len(listing.paths) == 6


def test_a_class_may_be_called_train(tmp_path):
    root = write_images(tmp_path / "d", 8)
    (root / "plain").rename(root / "train")
    assert split.prepare(data(root, tmp_path)).classes == ["across", "down", "train"]
    nested = tmp_path / "n"
    nested.mkdir()
    shutil.copytree(root, nested / "train")
    assert split.prepare(data(nested, tmp_path)).classes == ["across", "down", "train"]
