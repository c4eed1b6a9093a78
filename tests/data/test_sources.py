import shutil

import numpy as np
import pytest

from lth.config import Data
from lth.data import folders, overview, sources, split
from lth.data.module import ImageData
from lth.errors import DataError
from tests.conftest import CLASSES, write_images


def data(root, tmp_path, **options):
    return Data(name=options.pop("name", "folder"), root=str(root), image_size=20, cache=str(tmp_path / "cache"), **options)


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("seg_train", "seg_test"), ("seg_train/seg_train", "seg_test/seg_test")]
)
@pytest.mark.parametrize("name", ["folder", "intel", "mnist", "cifar10"])
def test_train_and_test_folders_are_found(tmp_path, train, test, name):
    write_images(tmp_path / "d" / train, 6)
    write_images(tmp_path / "d" / test, 4, seed=1)
    splits = split.prepare(data(tmp_path / "d", tmp_path, name=name))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (15, 3, 12)
    assert splits.train_images is not splits.test_images


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Val", "TEST"),
        ("training", "valid", "testing"),
        ("seg_train", "validation", "seg_test"),
        ("train", "VALID", ""),
    ],
)
def test_parts_are_understood_in_any_case(tmp_path, train, val, test):
    root = tmp_path / "d"
    write_images(root / train, 8)
    write_images(root / val, 2, seed=1)
    if test:
        write_images(root / test, 4, seed=2)
    splits = split.prepare(data(root, tmp_path))
    held_out = 0 if test else 2 * 3  # a fifth of 8
    assert (len(splits.train), len(splits.val), len(splits.test)) == (24 - held_out, 6, 12 if test else held_out)
    assert splits.val_images is not splits.train_images
    assert (splits.test_images is splits.train_images) == (test == "")
    assert splits.val_images.root.name == val


def test_the_validation_folder_is_part_of_the_hash(tmp_path):
    write_images(tmp_path / "a" / "train", 8)
    write_images(tmp_path / "a" / "val", 2, seed=1)
    as_val = split.prepare(data(tmp_path / "a", tmp_path)).hash
    (tmp_path / "a" / "val").rename(tmp_path / "a" / "test")
    as_test = split.prepare(data(tmp_path / "a", tmp_path)).hash
    shutil.rmtree(tmp_path / "a" / "test")
    alone = split.prepare(data(tmp_path / "a", tmp_path)).hash
    write_images(tmp_path / "a" / "val", 2, seed=2)
    assert len({as_val, as_test, alone, split.prepare(data(tmp_path / "a", tmp_path)).hash}) == 4


def test_batches_of_validation_come_from_the_validation_folder(tmp_path):
    write_images(tmp_path / "d" / "train", 8)
    write_images(tmp_path / "d" / "val", 2, seed=1)
    splits = split.prepare(data(tmp_path / "d", tmp_path))
    [(pixels, labels, _)] = ImageData(splits, 8, 0).val_dataloader()
    assert np.array_equal(pixels.numpy(), splits.val_images.take(np.arange(6)))
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]


def flat(root, *names):
    """Folders of images without class folders in them."""
    write_images(root / "x", 2)
    for name in names:
        shutil.copytree(root / "x" / "down", root / name)
    shutil.rmtree(root / "x")


@pytest.mark.parametrize(
    ("nested", "images", "sentence"),
    [
        ((), ("Train", "Test"), "has Train and Test without class folders in them, as if they were classes"),
        ((), ("train", "test", "val"), "has train and val and test without class folders"),
        ((), ("train", "test", "cat"), "has train and test without class folders"),
        ((), ("Train",), "has Train without class folders"),
        (("test",), ("cat", "dog"), "has class folders in test, but no train/"),
        (("Valid", "test"), (), "has class folders in Valid, but no train/"),
        (("test",), ("train",), "has class folders in test, but no train/"),
        (("train", "Train"), (), "has Train and train, which are names of the same part"),
        (("train", "val", "validation"), (), "has val and validation, which are names of the same part"),
        (("train",), ("cat", "dog"), "has images in cat, dog beside class folders in train"),
    ],
)
def test_folders_that_could_be_parts_or_classes_are_refused(tmp_path, nested, images, sentence):
    flat(tmp_path / "d", *images)
    for name in nested:
        write_images(tmp_path / "d" / name, 2)
    with pytest.raises(DataError, match=rf"{sentence}.*; data\.root takes one folder a class, or train/ .*\.$"):
        split.prepare(data(tmp_path / "d", tmp_path))


def test_other_folders_beside_the_parts_are_named(tmp_path):
    for name in ("train", "test", "seg_pred", "__MACOSX"):
        write_images(tmp_path / "d" / name, 6)
    assert split.prepare(data(tmp_path / "d", tmp_path)).unused == ("seg_pred",)


def test_duplicates_between_train_and_validation_are_counted(tmp_path):
    write_images(tmp_path / "d" / "train", 8)
    write_images(tmp_path / "d" / "val", 3, seed=1)
    write_images(tmp_path / "d" / "test", 3, seed=2)
    splits = split.prepare(data(tmp_path / "d", tmp_path))
    assert overview.duplicates(splits) == (0, 0, 0)
    shutil.copy(tmp_path / "d" / "train" / "down" / "000.png", tmp_path / "d" / "val" / "down" / "a.png")
    shutil.copy(tmp_path / "d" / "train" / "down" / "001.png", tmp_path / "d" / "val" / "plain" / "b.png")
    shutil.copy(tmp_path / "d" / "val" / "plain" / "000.png", tmp_path / "d" / "test" / "plain" / "c.png")
    splits = split.prepare(data(tmp_path / "d", tmp_path))
    assert overview.duplicates(splits) == (1, 2, 1)


def test_duplicates_inside_one_folder_are_counted_where_they_are_parted(tmp_path):
    root = write_images(tmp_path / "d", 30)
    for i in range(30):
        shutil.copy(root / "down" / f"{i:03d}.png", root / "down" / f"copy{i:03d}.png")
    splits = split.prepare(data(root, tmp_path))
    test, val, several = overview.duplicates(splits)
    assert test > 0
    assert val > 0
    assert several == 0


def test_one_folder_is_split_in_three(tmp_path):
    splits = split.prepare(data(write_images(tmp_path / "d", 20), tmp_path))
    assert (len(splits.train), len(splits.val), len(splits.test)) == (42, 6, 12)
    assert sorted([*splits.train, *splits.val, *splits.test]) == list(range(60))
    assert np.bincount(splits.test_images.labels[splits.test]).tolist() == [4, 4, 4]


def test_the_split_is_stratified_seeded_and_never_empty():
    labels = np.array([0] * 100 + [1] * 10 + [2] * 2)
    (rest, part), (_, again), (_, other) = (split.stratified(labels, 0.15, seed, CLASSES) for seed in (0, 0, 1))
    assert np.bincount(labels[part]).tolist() == [15, 2, 1]
    assert sorted([*rest, *part]) == list(range(112))
    assert part.tolist() == again.tolist() != other.tolist()
    with pytest.raises(DataError, match="the class down has a single image to train on"):
        split.stratified(np.array([0, 0, 1]), 0.5, 0, CLASSES)


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


def test_a_folder_too_many_is_named(tmp_path):
    write_images(tmp_path / "photos" / "unpacked", 2)
    with pytest.raises(DataError, match=r"photos holds 1 class folders; .*; did you mean .*photos/unpacked\?$"):
        split.prepare(data(tmp_path / "photos", tmp_path))


def test_bad_images_of_all_parts_are_named_together(tmp_path):
    for part in ("train", "val", "test"):
        write_images(tmp_path / "d" / part, 4)
        (tmp_path / "d" / part / "down" / "000.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"^3 images cannot be used: .*train/down.*; .*val/down.*; .*test/down.*on_error=skip"):
        split.prepare(data(tmp_path / "d", tmp_path))


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


def test_other_files_and_hidden_ones_are_passed_over(tmp_path):
    root = write_images(tmp_path / "d", 2)
    (root / "down" / "notes.txt").write_text("no image")
    (root / "down" / ".hidden.png").write_text("no image")
    (root / "down" / ".thumbnails").mkdir()
    (root / "down" / ".thumbnails" / "000.png").write_text("no image")
    (root / ".git").mkdir()
    listing = folders.list_images(root)
    assert listing.classes == ["across", "down", "plain"]
    assert listing.names == [f"{name}/00{i}.png" for name in listing.classes for i in (0, 1)]


def test_a_class_may_be_called_train(tmp_path):
    root = write_images(tmp_path / "d", 8)
    (root / "plain").rename(root / "train")
    assert split.prepare(data(root, tmp_path)).classes == ["across", "down", "train"]
    nested = tmp_path / "n"
    nested.mkdir()
    shutil.copytree(root, nested / "train")
    assert split.prepare(data(nested, tmp_path)).classes == ["across", "down", "train"]
