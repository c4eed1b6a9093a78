"""Kaggle's set, MNIST and CIFAR-10 without a network: kagglehub and torchvision are replaced by small sets of the same form."""

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from lth import internet
from lth.config import Data
from lth.data import sources, split
from lth.errors import DataError


@pytest.fixture(autouse=True)
def connected(monkeypatch, tmp_path):
    monkeypatch.setattr(sources, "reachable", lambda host: True)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))


def write_intel(root: Path) -> Path:
    for part in ("seg_train", "seg_test", "seg_pred"):
        (root / part / part / "sea").mkdir(parents=True)
    return root


def test_a_download_from_kaggle_is_used(monkeypatch, tmp_path):
    class Hub:
        def dataset_download(handle: str) -> str:
            assert handle == "puneet6060/intel-image-classification/versions/2"
            return str(write_intel(tmp_path))

    monkeypatch.setitem(sys.modules, "kagglehub", Hub)
    calls = []
    folders = sources.locate(Data(name="intel"), lambda: calls.append("before"))
    assert (folders.train, folders.val) == (tmp_path / "seg_train" / "seg_train", None)
    assert folders.test == tmp_path / "seg_test" / "seg_test"
    assert calls == ["before"]


def test_a_set_that_is_downloaded_is_used_without_a_network(monkeypatch, tmp_path):
    """The real kagglehub, with the files that it leaves, and no connection."""
    root = tmp_path / "kagglehub" / "datasets" / sources.HANDLE
    (write_intel(root).parent.parent / "2.complete").touch()
    monkeypatch.setattr(sources, "reachable", lambda host: pytest.fail("no network is needed"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("no network is needed"))
    folders = sources.locate(Data(name="intel"), lambda: pytest.fail("nothing is downloaded"))
    assert folders.train == root / "seg_train" / "seg_train"


def test_without_folder_and_network_one_sentence_comes_within_seconds_and_without_torch(tmp_path):
    code = f"""if True:
        import sys
        from lth import internet
        internet.socket.create_connection = lambda *_: (_ for _ in ()).throw(OSError())
        sys.argv[1:] = ["model=densenet121", "outputs={tmp_path}/o"]
        from lth.run import main
        try:
            main()
        except SystemExit as end:
            assert end.code == 1
        assert "torch" not in sys.modules
    """
    begin, env = time.perf_counter(), {"HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=env)
    assert time.perf_counter() - begin < 10
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("lth: puneet6060/intel-image-classification is downloaded from www.kaggle.com, which does not")
    assert "data.root=DIR" in sentence
    assert "data=scenes" in sentence


def test_a_host_that_never_answers_costs_seconds(monkeypatch):
    monkeypatch.setattr(internet, "SECONDS", 0.2)
    monkeypatch.setattr(internet.socket, "create_connection", lambda *_: time.sleep(1) or io.BytesIO())
    begin = time.perf_counter()
    assert not internet.reachable("www.kaggle.com")
    assert time.perf_counter() - begin < 0.9


class Digits:
    """Like ``torchvision.datasets.MNIST``: (PIL image, label) in order; 12 images, every third of class 2."""

    classes = ("0 - zero", "1 - one", "2 - two")
    interrupted = False

    def __init__(self, root: Path | str, train: bool = True, download: bool = False) -> None:
        assert download
        Path(root).mkdir(exist_ok=True)
        self.pixels = np.random.default_rng(train).integers(0, 255, (12, 28, 28), np.uint8)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Image.Image, int]:
        if self.interrupted and i == 5:
            raise KeyboardInterrupt
        return Image.fromarray(self.pixels[i]), i % 3


def test_mnist_becomes_class_folders_of_the_same_pixels_once(monkeypatch, tmp_path):
    monkeypatch.setattr(torchvision.datasets, "MNIST", Digits)
    data = Data(name="mnist", image_size=28, channels=1, cache=str(tmp_path / "cache"))
    monkeypatch.setattr(Digits, "interrupted", True)
    with pytest.raises(KeyboardInterrupt):
        split.prepare(data)
    assert not (tmp_path / "cache" / "mnist").exists(), "a half-written folder does not look complete"
    monkeypatch.setattr(Digits, "interrupted", False)
    splits = split.prepare(data)
    assert splits.classes == ["0", "1", "2"]
    assert (len(splits.train), len(splits.val), len(splits.test)) == (9, 3, 12)
    assert splits.test_images.names[0] == "0/00000.png"
    expected = Digits(tmp_path, False, True).pixels[sorted(range(12), key=lambda i: (i % 3, i))]
    assert np.array_equal(splits.test_images.take(np.arange(12))[..., 0], expected)
    assert not (tmp_path / "cache" / "mnist.download").exists()
    monkeypatch.setattr(torchvision.datasets, "MNIST", lambda *_, **__: pytest.fail("downloaded again"))
    assert split.prepare(data).hash == splits.hash


@pytest.mark.parametrize(("name", "title"), [("mnist", "MNIST"), ("cifar10", "CIFAR10"), ("intel", "puneet6060/intel-.*")])
def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch, name, title):
    monkeypatch.setattr(torchvision.datasets, title, None, raising=False)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    data = Data(name=name, cache=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=rf"^the download of {title} failed \(\w+\)\. Put .*data\.root=DIR, or .*"):
        split.prepare(data)
    assert not list(tmp_path.glob("cache/*/"))
    monkeypatch.setattr(sources, "reachable", lambda host: False)
    with pytest.raises(DataError, match=rf"^{title} is downloaded from w?.*, which does not answer\. .*data\.root=DIR, or use"):
        split.prepare(data)
