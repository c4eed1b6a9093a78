"""MNIST and CIFAR-10 without a network: torchvision's data sets are replaced by small ones of the same form."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from lth.config import Data
from lth.data import published, split
from lth.errors import DataError
from tests.conftest import decay


class Digits:
    """Like ``torchvision.datasets.MNIST``: (PIL image, label) in order; 12 images, every third of class 2."""

    classes = ("0 - zero", "1 - one", "2 - two")

    def __init__(self, root: Path | str, train: bool = True, download: bool = False) -> None:
        assert download
        Path(root).mkdir(exist_ok=True)
        (Path(root) / "raw").write_bytes(b"as it came")
        self.pixels = np.random.default_rng(train).integers(0, 255, (12, 28, 28), np.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.pixels[i]), i % 3


@pytest.fixture(autouse=True)
def connected(monkeypatch):
    monkeypatch.setattr(published, "reachable", lambda host: True)


@pytest.fixture
def digits(monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "MNIST", Digits)


def test_a_download_becomes_class_folders_of_the_same_pixels(tmp_path, digits):
    root = published.fetch("mnist", tmp_path / "cache")
    names = sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))
    assert len(names) == 24
    assert names[0] == "test/0/00000.png"
    assert "train/2/00011.png" in names
    pixels = np.asarray(Image.open(root / "train" / "2" / "00011.png"))
    assert np.array_equal(pixels, Digits(tmp_path, download=True).pixels[11])
    assert sorted(p.name for p in (tmp_path / "cache").iterdir()) in (["mnist"], ["mnist", "mnist.lock"])


def test_then_all_is_as_for_folders(tmp_path, digits):
    data = Data(name="mnist", image_size=28, channels=1, cache=str(tmp_path))
    found = split.prepare(data)
    assert found.classes == ["0", "1", "2"]
    assert (len(found.train), len(found.val), len(found.test)) == (9, 3, 12)
    assert np.array_equal(found.test_images.images.take(np.arange(1))[0, ..., 0], Digits(tmp_path, False, True).pixels[0])


def test_it_is_downloaded_once(tmp_path, digits, monkeypatch):
    root = published.fetch("mnist", tmp_path)
    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *_, **__: pytest.fail("downloaded again"))
    assert published.fetch("mnist", tmp_path) == root


DAMAGE = {
    "decayed": lambda root: decay(root / "train" / "2" / "00011.png", 30),
    "empty": lambda root: (root / "test" / "1" / "00001.png").write_bytes(b""),
    "foreign": lambda root: shutil.copy(root / "test" / "1" / "00001.png", root / "train" / "1" / "9.png"),
    "missing": lambda root: (root / "train" / "1" / "00001.png").unlink(),
    "a part missing": lambda root: shutil.rmtree(root / "test"),
    "sums empty": lambda root: (root / published.MANIFEST).write_text(""),
    "sums missing": lambda root: (root / published.MANIFEST).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_class_folders_are_named_and_downloaded_again(tmp_path, digits, capsys, damage):
    data, beside = (
        Data(name="mnist", image_size=28, channels=1, cache=str(cache), on_error="skip") for cache in (tmp_path, tmp_path / "b")
    )
    expected = split.prepare(beside)
    split.prepare(data)
    for pixels in tmp_path.glob("pixels-*/"):
        shutil.rmtree(pixels)
    DAMAGE[damage](tmp_path / "mnist")
    capsys.readouterr()
    found = split.prepare(data)
    assert f"{tmp_path / 'mnist'} is damaged" in capsys.readouterr().err
    assert found.fingerprint == expected.fingerprint
    assert (found.train_images.images.array == expected.train_images.images.array).all()
    assert split.prepare(data).fingerprint == expected.fingerprint
    assert capsys.readouterr().err == ""


def test_damaged_class_folders_stay_where_no_download_is_to_be_had(tmp_path, digits, monkeypatch):
    data = Data(name="mnist", image_size=28, channels=1, cache=str(tmp_path))
    split.prepare(data)
    decay(tmp_path / "mnist" / "train" / "2" / "00011.png", 30)
    for pixels in tmp_path.glob("pixels-*/"):
        shutil.rmtree(pixels)

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, "MNIST", offline)
    with pytest.raises(DataError, match="the download of MNIST failed"):
        split.prepare(data)
    assert len(list((tmp_path / "mnist").rglob("*.png"))) == 24


def test_a_killed_export_leaves_nothing_that_looks_finished(tmp_path, digits, monkeypatch):
    def killed(self, i):
        if i == 5:
            raise KeyboardInterrupt
        return real(self, i)

    real = Digits.__getitem__
    with monkeypatch.context() as patch:
        patch.setattr(Digits, "__getitem__", killed)
        with pytest.raises(KeyboardInterrupt):
            published.fetch("mnist", tmp_path)
    assert not (tmp_path / "mnist").exists()
    assert len(list(published.fetch("mnist", tmp_path).rglob("*.png"))) == 24


@pytest.mark.parametrize(("name", "title"), published.NAMES.items())
def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch, name, title):
    def offline(*_, **__):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(torchvision.datasets, title, offline)
    with pytest.raises(DataError, match=rf"^the download of {title} failed \(RuntimeError\)\. Put .* with data\.root=DIR, or .*"):
        split.prepare(Data(name=name, cache=str(tmp_path)))
    assert not (tmp_path / name).exists()


def test_without_a_network_nothing_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "reachable", lambda host: False)
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", lambda *_, **__: pytest.fail("it would hang"))
    with pytest.raises(
        DataError, match=r"^CIFAR10 is downloaded from www\.cs\.toronto\.edu, .*data\.root=DIR, or use data=scenes"
    ):
        split.prepare(Data(name="cifar10", cache=str(tmp_path)))
