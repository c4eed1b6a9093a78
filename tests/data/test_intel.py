"""Kaggle's set without a network: kagglehub is replaced, or finds what it downloaded before."""

import io
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lth.config import Data
from lth.data import intel, sources
from lth.errors import DataError


class Hub:
    """Like kagglehub; it finds the set at ``root``, or has nothing but an error to give."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root

    def dataset_download(self, handle: str) -> str:
        assert handle == "puneet6060/intel-image-classification/versions/2"
        if self.root is None:
            raise ConnectionError("broken off")
        return str(self.root)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "kagglehub"))
    monkeypatch.setattr(intel, "reachable", lambda host: True)
    monkeypatch.setattr(intel, "COUNTS", {"seg_train": 12, "seg_test": 6})

    def put(root: Path | None = None) -> None:
        monkeypatch.setitem(sys.modules, "kagglehub", Hub(root))

    return put


def write(root: Path) -> Path:
    for part, count in intel.COUNTS.items():
        for name in intel.CLASSES:
            (root / part / part / name).mkdir(parents=True)
            for i in range(count // 6):
                (root / part / part / name / f"{i}.jpg").touch()
    (root / "seg_pred" / "seg_pred").mkdir(parents=True)
    return root


def test_a_download_that_works_is_used(hub, tmp_path):
    hub(write(tmp_path))
    calls = []
    found = sources.locate(Data(name="intel"), lambda: calls.append("before"))
    assert (found.train, found.val) == (tmp_path / "seg_train" / "seg_train", None)
    assert found.test == tmp_path / "seg_test" / "seg_test"
    assert calls == ["before"]


def test_a_download_that_is_not_whole_is_refused(hub, tmp_path):
    hub(write(tmp_path))
    (tmp_path / "seg_train" / "seg_train" / "sea" / "1.jpg").unlink()
    with pytest.raises(DataError, match=r"holds 11 images of 6 classes instead of 12 of 6; delete .*data\.root=DIR"):
        sources.locate(Data(name="intel"))


def test_a_download_that_fails_says_what_to_do(hub):
    hub()
    with pytest.raises(DataError, match=r"download of .* failed \(ConnectionError\).*data\.root=DIR.*data=scenes"):
        sources.locate(Data(name="intel"))


def test_what_was_downloaded_is_used_without_a_network(hub, monkeypatch, tmp_path):
    """The real kagglehub, with what it leaves behind, and no connection."""
    root = tmp_path / "kagglehub" / "datasets" / intel.HANDLE
    (write(root).parent.parent / "2.complete").touch()
    monkeypatch.setattr(intel, "reachable", lambda host: pytest.fail("no network is needed"))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("no network is needed"))
    found = sources.locate(Data(name="intel"), lambda: pytest.fail("nothing is downloaded"))
    assert found.train == root / "seg_train" / "seg_train"


@pytest.mark.parametrize("model", ["simple_cnn", "densenet121"])
def test_without_folder_and_network_the_sentence_comes_within_seconds_and_without_torch(tmp_path, model):
    code = f"""if True:
        import sys
        from lth import network
        network.socket.create_connection = lambda *_: (_ for _ in ()).throw(OSError())
        sys.argv[1:] = ["model={model}", "outputs={tmp_path}/o"]
        from lth.run import main
        try:
            main()
        except SystemExit as end:
            assert end.code == 1
        assert "torch" not in sys.modules
    """
    begin = time.perf_counter()
    told = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"HOME": str(tmp_path)},
    )
    assert time.perf_counter() - begin < 10
    assert len(told.stderr.splitlines()) == 1
    assert told.stderr.startswith("lth: ")
    assert "data.root=DIR" in told.stderr
    assert "data=scenes" in told.stderr


def test_a_host_that_never_answers_costs_seconds(monkeypatch):
    from lth import network

    monkeypatch.setattr(network, "SECONDS", 0.2)
    monkeypatch.setattr(network.socket, "create_connection", lambda *_: time.sleep(1) or io.BytesIO())
    begin = time.perf_counter()
    assert not network.reachable("www.kaggle.com")
    assert time.perf_counter() - begin < 0.9
