"""Which folders are understood, which are refused, and how images are parted."""

import re
import shutil

import numpy as np
import pytest

from lth.config import Data
from lth.data import folders, split
from lth.data.module import ImageData
from lth.errors import DataError, UsageError
from tests.conftest import CLASSES, write_images


@pytest.fixture
def prepare(tmp_path):
    """A function that prepares the folder ``root``, by default one of the test's own."""
    return lambda root=tmp_path / "d", name="folder": split.prepare(
        Data(name=name, root=str(root), image_size=20, cache=str(tmp_path / "cache"))
    )


@pytest.fixture
def root(tmp_path):
    return tmp_path / "d"


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "", "test"),
        ("seg_train/seg_train", "", "seg_test/seg_test"),
        ("Train", "Val", "TEST"),
        ("training", "valid", "testing"),
        ("seg_train", "validation", "seg_test"),
        ("train", "VALID", ""),
    ],
)
@pytest.mark.parametrize("name", ["folder", "intel"])
def test_parts_are_understood_under_their_names_in_any_case(prepare, root, train, val, test, name):
    for seed, (part, count) in enumerate({train: 10, val: 2, test: 4}.items()):
        if part:
            write_images(root / part, count, seed)
    splits = prepare(name=name)
    test_count = 12 if test else 2 * 3
    val_count = 6 if val else 2 * 3
    train_count = 30 - (0 if test else test_count) - (0 if val else val_count)
    assert (len(splits.train), len(splits.val), len(splits.test)) == (train_count, val_count, test_count)
    assert splits.drawn == (*(() if val else ("val",)), *(() if test else ("test",)))
    if val:
        [(pixels, labels, _)] = ImageData(splits, 8, 0).val_dataloader()
        assert np.array_equal(pixels.numpy(), splits.val_images.take(np.arange(6)))
        assert labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_the_validation_folder_is_part_of_the_hash(prepare, root):
    write_images(root / "train", 8)
    write_images(root / "val", 2, seed=1)
    hashes = {prepare().hash}
    (root / "val").rename(root / "test")
    hashes.add(prepare().hash)
    shutil.rmtree(root / "test")
    hashes.add(prepare().hash)
    write_images(root / "val", 2, seed=2)
    assert len(hashes | {prepare().hash}) == 4


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        ((), ("Train", "Test")),
        ((), ("train", "test", "cat")),
        ((), ("Train",)),
        (("test",), ("cat", "dog")),
        (("Valid", "test"), ()),
        (("test",), ("train",)),
        (("train", "Train"), ()),
        (("train", "val", "validation"), ()),
        (("train",), ("cat", "dog")),
    ],
)
def test_folders_that_could_be_parts_or_classes_are_refused(prepare, root, nested, flat):
    for name in nested:
        write_images(root / name, 2)
    for name in flat:
        shutil.copytree(write_images(root / "x", 2) / "down", root / name)
        shutil.rmtree(root / "x")
    names = ", ".join(sorted([*nested, *flat]))
    with pytest.raises(DataError, match=rf"not clear which folders of .* \({names}\) are parts .*; data\.root takes one .*\.$"):
        prepare()


def test_other_folders_beside_the_parts_are_named(prepare, root):
    for name in ("train", "test", "seg_pred", "__MACOSX"):
        write_images(root / name, 6)
    assert prepare().unused == ("seg_pred",)


def test_one_folder_is_split_in_three(prepare, root):
    splits = prepare(write_images(root, 20))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (42, 6, 12)
    assert sorted([*splits.train, *splits.val, *splits.test]) == list(range(60))
    assert np.bincount(splits.test_images.labels[splits.test]).tolist() == [4, 4, 4]


def test_folders_that_cannot_be_used_are_named(prepare, root, tmp_path):
    with pytest.raises(DataError, match=r"data\.root=null is not accepted with data=folder"):
        split.prepare(Data(name="folder"))
    root.mkdir()
    with pytest.raises(DataError, match=r"holds 0 class folders"):
        prepare()
    (tmp_path / "mnist.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"data\.root=.*mnist\.zip is no folder \(an archive is to be unpacked\)"):
        prepare(tmp_path / "mnist.zip", "mnist")


def test_other_files_and_hidden_ones_are_passed_over(root):
    write_images(root, 2)
    (root / "down" / "notes.txt").write_text("no image")
    (root / "down" / ".hidden.png").write_text("no image")
    (root / "down" / ".thumbnails").mkdir()
    (root / "down" / ".thumbnails" / "000.png").write_text("no image")
    (root / ".git").mkdir()
    names = [f"{name}/00{i}.png" for name in CLASSES for i in (0, 1)]
    assert folders.list_images(root) == ([*CLASSES], names, [0, 0, 1, 1, 2, 2])


def test_some_classes_alone_are_those_of_a_folder_that_holds_no_others(prepare, root, tmp_path):
    for part, count in (("train", 6), ("test", 2)):
        write_images(root / part, count)
    shutil.copytree(root, tmp_path / "two")
    for part in ("train", "test"):
        shutil.rmtree(tmp_path / "two" / part / "down")

    def some(classes: str) -> split.Splits:
        return split.prepare(Data(name="folder", root=str(root), image_size=8, cache=str(tmp_path / "cache"), classes=classes))

    halves, whole = [some("plain+across"), some("across+plain")], some("all")
    assert {splits.hash for splits in halves} == {prepare(tmp_path / "two").hash}
    assert halves[0].classes == ["across", "plain"]
    assert (len(halves[0].train) + len(halves[0].val), len(halves[0].test), len(whole.test)) == (12, 4, 6)
    assert whole.hash not in {splits.hash for splits in halves}
    for wrong in ("plain+up", "plain", "plain+plain", "+"):
        sentence = (
            rf"^data\.classes={re.escape(wrong)} is not accepted: it takes all, or at least two of across, down, plain, joined"
        )
        with pytest.raises(UsageError, match=sentence):
            some(wrong)


def test_a_class_may_be_called_train(prepare, root, tmp_path):
    write_images(root, 8)
    (root / "plain").rename(root / "train")
    shutil.copytree(root, tmp_path / "n" / "train")
    for place in (root, tmp_path / "n"):
        assert prepare(place).classes == ["across", "down", "train"]
