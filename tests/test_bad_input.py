"""Bad input of every kind: an exit code, one sentence, no traceback, and nothing that was finished is lost."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import lth.run as door
from lth.data import overview
from tests import damage as D
from tests.bad import BASE, FOLDERS, KEYS
from tests.conftest import write_parts
from tests.test_run import run


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("good"), 6, 3)


@pytest.fixture(scope="session")
def finished(good, tmp_path_factory) -> Path:
    """An outputs folder that bad input must leave as it is; all cases use it."""
    outputs = tmp_path_factory.mktemp("finished")
    told = run(*BASE, f"data.root={good}", f"outputs={outputs}", "seed=77")
    assert told.returncode == 0, told.stderr
    return outputs


def contents(outputs: Path, names: set[str] | None = None) -> dict[str, bytes]:
    found = {p.relative_to(outputs).as_posix(): p for p in (outputs / "rounds").rglob("*.*")}
    return {n: p.read_bytes() for n, p in found.items() if p.is_file() and (n in names if names else ".locks" not in n)}


def keys(outputs: Path) -> set[str]:
    """Of the rows of results.csv; what its other columns are depends on what its rounds differ in."""
    return {line.partition(",")[0] for line in (outputs / "results.csv").read_text().splitlines()}


@pytest.fixture
def knock(finished, monkeypatch, capsys, tmp_path):
    """A function that gives ``main`` a command line, in this process: the exit code, and stderr without rounds' progress."""

    def at(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["lth", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        monkeypatch.setattr("lth.cli.signals.listen", lambda: None)
        monkeypatch.chdir(tmp_path)
        overview._tell.cache_clear()
        before, rows = contents(finished), keys(finished)
        try:
            code = door.main() or 0
        except SystemExit as error:
            code = error.code
        told = "\n".join(line for line in capsys.readouterr().err.splitlines() if not re.match(r"round \d+/|lth: decoding", line))
        assert contents(finished, set(before)) == before, "nothing finished is touched"
        assert rows <= keys(finished)
        assert not list(tmp_path.rglob(D.MESSAGE)), "nothing ran"
        return code, told

    return at


@pytest.mark.parametrize(("override", "sentence"), KEYS, ids=[override for override, _ in KEYS])
def test_a_key_a_type_or_a_range(knock, good, finished, override, sentence):
    code, told = knock(*BASE, f"data.root={good}", f"outputs={finished}", override)
    assert (code, len(told.splitlines())) == (2, 1), told
    key = re.split("=", override)[0].lstrip("+~")
    assert told.startswith("lth: ")
    assert key in told or "takes the name of a choice" in told
    assert re.search(sentence, told), told
    assert told.endswith((".", ")"))


@pytest.mark.parametrize(("change", "arguments", "code", "sentence"), [f[1:] for f in FOLDERS], ids=[f[0] for f in FOLDERS])
def test_a_folder_a_file_or_a_training(knock, good, finished, tmp_path, change, arguments, code, sentence):
    if change is D.unreadable and os.geteuid() == 0:
        pytest.skip("root reads everything")
    root = shutil.copytree(good, tmp_path / "ä folder") if change else good
    if change:
        change(root)
    given = [f"data.root={root}", f"outputs={finished}", *(a.format(root=root) for a in arguments)]
    last = {a.partition("=")[0]: a.partition("=") for a in given}
    got, told = knock(*BASE, *(f"{k}{e}'{v}'" if "/" in v else f"{k}{e}{v}" for k, e, v in last.values()))
    assert got == code, told
    assert len(told.splitlines()) == bool(sentence), told
    assert told.startswith("lth: " if sentence else "")
    assert re.search(sentence, told), told


def test_there_are_sixty_and_more():
    assert len(KEYS) + len(FOLDERS) >= 60


def test_the_last_good_checkpoint_of_a_training_that_diverges_is_named(knock, good, tmp_path):
    outputs = tmp_path / "o"
    slow = ["optim.lr=1e4", "optim.name=sgd", "optim.momentum=0.99", "epochs=200", "trainer.checkpoint_minutes=1e-9"]
    code, told = knock(*BASE, f"data.root={good}", f"outputs={outputs}", *slow)
    assert code == 1
    [path] = (outputs / "partial").glob("*.safetensors")
    found = re.fullmatch(
        r"lth: the \w+ loss is \w+ at iteration (\d+), epoch \d+: training stopped, the round is not finished; "
        r"its last good checkpoint is (.*), iteration (\d+)\. A lower optim\.lr, or optim\.clip=1, may help\.",
        told,
    )
    assert found, told
    assert Path(found[2]) == path
    assert 0 < int(found[3]) < int(found[1])
    assert not list(outputs.glob("rounds/*/round.json"))


@pytest.mark.parametrize("bad", ["prune.rate=2", "data.root=/nowhere"])
def test_as_a_user_types_it(good, finished, bad):
    told = run(*BASE, f"data.root={good}", f"outputs={finished}", bad)
    assert told.returncode == (1 if "root" in bad else 2)
    assert re.fullmatch(r"lth: .*\.\n", told.stderr)


def test_a_leak_is_told_once_in_a_sweep(good, tmp_path):
    root = shutil.copytree(good, tmp_path / "d")
    D.leak(root)
    told = run("-m", *BASE, f"data.root={root}", f"outputs={tmp_path}/o", "seed=0,1")
    assert told.returncode == 0, told.stderr
    assert told.stderr.count("2 of 11 test images") == 1


def test_an_archive_that_climbs_out_of_its_folder_stays_inside(tmp_path):
    """What lth writes of a download are class names and numbers of its own; torchvision checks and unpacks the archive."""
    from lth.data import published

    class Evil:
        classes = ("../../x", "ok")

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return Image.new("L", (8, 8)), i

    with pytest.raises(published.DataError, match=r"class called '\.\./\.\./x'"):
        published.write({"train": Evil()}, tmp_path / "in" / "mnist")
    assert [p.name for p in tmp_path.rglob("*.png")] == []
