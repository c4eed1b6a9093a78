"""Damaged files, in every place: named, and made again or refused; what is finished then has the bits that it would have had."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lth.cli import signals
from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.errors import DataError, Interrupted
from lth.training.search import search
from lth.tree import files
from tests.faults.experiment import faults, pictures, told


def flipped(content: bytes, *others: bytes) -> bytes:
    place = len(content) * 2 // 3
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


KINDS: dict[str, Callable[..., bytes]] = {
    "truncated": lambda content, other: content[:-5],
    "flipped": flipped,
    "empty": lambda content, other: b"",
    "foreign": lambda content, other: other,
}
MADE_AGAIN = {
    "pixels": "cache/pixels-*/images.npy",
    "features": "cache/features-*/features.npy",
    "point": "points/*.safetensors",
    "saving": "partial/*.safetensors",
    "results": "results.csv",
}
REFUSED = {
    "record": "rounds/*round01*/round.json",
    "weights": "rounds/*round01*/final.safetensors",
    "ticket": "rounds/*round01*/ticket.safetensors",
    "start": "rounds/*round01*/start.safetensors",
    "configuration": "rounds/*round01*/config.yaml",
    "history": "rounds/*round01*/metrics.csv",
}


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return pictures(tmp_path_factory.mktemp("pictures"))


def experiment(images: Path, outputs: Path, rounds: int, model: str = "simple_cnn", **prune) -> list:
    data = Data(name="folder", root=str(images), image_size=8, batch_size=16, cache=str(outputs / "cache"))
    config = Config(
        epochs=2, outputs=str(outputs), data=data, prune=Prune(rounds=rounds, rewind="6it", **prune), model=Model(model),
        trainer=Trainer(accelerator="cpu", checkpoint_minutes=0), logger=Logger("none"), finetune="head",
    )  # fmt: skip
    return search(config, say=lambda line: None)


@pytest.fixture(scope="module")
def whole(images, tmp_path_factory) -> dict:
    outputs = tmp_path_factory.mktemp("whole")
    experiment(images, outputs, 2)
    return told(outputs)


@pytest.fixture(scope="module")
def half(images, tmp_path_factory) -> Path:
    """Two rounds are finished, the third one has been interrupted. Not to be changed."""
    outputs = tmp_path_factory.mktemp("half")
    experiment(images, outputs, 1)
    asked = iter(["", "", "", *["SIGTERM"] * 9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, "asked", lambda: next(asked))
        with pytest.raises(Interrupted):
            experiment(images, outputs, 2)
    assert all(list(outputs.glob(pattern)) for pattern in [*MADE_AGAIN.values(), *REFUSED.values()])
    return outputs


@pytest.fixture
def tree(half, tmp_path) -> Path:
    return shutil.copytree(half, tmp_path / "outputs")


def damage(path: Path, kind: str) -> None:
    """What it then holds; a foreign file is one that is whole, and of the same sort where there is one."""
    content = path.read_bytes()
    siblings = [p for p in path.parents[1].rglob(path.name) if p.read_bytes() != content] or [path.parents[1] / "results.csv"]
    other = siblings[0].read_bytes() if siblings[0].exists() else b"key,name\nabc,def\n"
    path.write_bytes(KINDS[kind](content, other))
    assert path.read_bytes() != content


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", MADE_AGAIN)
def test_it_is_named_and_made_again(tree, images, whole, capsys, place, kind):
    path = sorted(tree.glob(MADE_AGAIN[place]))[0]
    damage(path, kind)
    experiment(images, tree, 2)
    assert path.name in capsys.readouterr().err
    assert not faults(tree, whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", REFUSED)
def test_a_damaged_finished_round_is_named_and_refused(tree, images, whole, place, kind):
    [path] = tree.glob(REFUSED[place])
    damage(path, kind)
    with pytest.raises(DataError, match=rf"{path.name} is .*delete that folder|{path.name} is .*delete the folder"):
        experiment(images, tree, 2)
    shutil.rmtree(path.parent)
    experiment(images, tree, 2)
    assert not faults(tree, whole)


def test_a_lock_may_hold_anything(tree, images, whole):
    for kind in KINDS:
        for path in [*tree.glob("rounds/.locks/*.lock"), *tree.glob("cache/*.lock")]:
            path.write_bytes(KINDS[kind](b"0123456789" * 9, b"\xff\0foreign"))
    experiment(images, tree, 2)
    assert not faults(tree, whole)


def test_a_folder_in_the_place_of_a_file_that_can_be_made_again_is_replaced(tree, images, whole):
    for place in ("point", "saving", "pixels"):
        path = sorted(tree.glob(MADE_AGAIN[place]))[0]
        path.unlink()
        path.mkdir()
    experiment(images, tree, 2)
    assert not faults(tree, whole)


def test_a_file_in_the_place_of_a_folder_is_replaced(tree, images, whole):
    for place in ("cache/pixels-*/", "rounds/*round02*/"):
        folder = next(tree.glob(place))
        shutil.rmtree(folder)
        folder.write_text("foreign")
    for saving in tree.glob("partial/*"):
        saving.unlink()
    experiment(images, tree, 2)
    assert not faults(tree, whole)


def test_drafts_of_dead_processes_are_removed(tree, images):
    dead = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(dead, 0)
    new = files.beside(tree / "points" / "x")
    whose, number, form = new.name.rsplit(".", 2)
    mine = new.with_name(f"{whose}.{dead}.{form}")
    old, hers, others = (new.with_name(f".x.{who}.draft") for who in ("a.1", "b.2", f"{files.socket.gethostname()}-1.{dead}"))
    for path in (old, mine, new, hers, others):
        path.write_text("half")
    os.utime(old, (1, 1))
    experiment(images, tree, 2)
    assert number == str(os.getpid())
    assert [path.exists() for path in (old, mine, new, hers, others)] == [False, False, True, True, True]
