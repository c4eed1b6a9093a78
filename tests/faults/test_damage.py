"""Damaged files of an experiment that goes on: computed again or refused; the rounds end with the same bits."""

import os
import shutil
from pathlib import Path

import pytest

from lth.cli import signals
from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.errors import DataError, Interrupted
from lth.training.search import search
from lth.tree.store import Store
from tests.conftest import decay, write_parts
from tests.faults.experiment import outcome, wrong


def foreign(path: Path) -> None:
    """A valid file of the same kind where there is one."""
    others = [p for p in path.parents[1].rglob(f"*{path.suffix}") if p.is_file() and p.read_bytes() != path.read_bytes()]
    path.write_bytes(others[0].read_bytes() if others else b"key,name\nabc,def\n")


DAMAGES = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "flipped": lambda path: decay(path, path.stat().st_size // 3),
    "empty": lambda path: path.write_bytes(b""),
    "foreign": foreign,
}
CHECKPOINTS = "checkpoints/*.safetensors"
COMPUTED_AGAIN = (
    CHECKPOINTS,
    "cache/pixels-*/*.npy",
    "cache/*/meta.json",
    "cache/features-*/features.npy",
    "results.csv",
    "tests/*",
)
REFUSED = ("round.json", "final.safetensors", "ticket.safetensors", "start.safetensors", "config.yaml", "metrics.csv")


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("pictures"), 30, 6)


def experiment(images: Path, outputs: Path, rounds: int) -> None:
    data = Data(name="folder", root=str(images), image_size=8, batch_size=16, cache=str(outputs / "cache"))
    config = Config(
        epochs=2, outputs=str(outputs), data=data, prune=Prune(rounds=rounds, rewind="6it"), model=Model("simple_cnn"),
        trainer=Trainer(accelerator="cpu", checkpoint_minutes=0), logger=Logger("none"), finetune="head",
    )  # fmt: skip
    search(config, say=lambda line: None)


@pytest.fixture(scope="module")
def expected(images, tmp_path_factory) -> dict:
    outputs = tmp_path_factory.mktemp("expected")
    experiment(images, outputs, 2)
    return outcome(outputs)


@pytest.fixture(scope="module")
def interrupted(images, tmp_path_factory) -> Path:
    """Two rounds are finished, the third one has been interrupted. Not to be changed."""
    outputs = tmp_path_factory.mktemp("interrupted")
    experiment(images, outputs, 1)
    start_over, begun = Store.start_over, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "start_over", lambda *args: begun.append(args) or start_over(*args))
        patch.setattr(signals, "asked", lambda: "SIGTERM" if begun else "")
        with pytest.raises(Interrupted):
            experiment(images, outputs, 2)
    assert len(list(outputs.glob(CHECKPOINTS))) == 2, "a rewind checkpoint, and that of the interrupted round"
    return outputs


@pytest.fixture
def tree(interrupted, tmp_path) -> Path:
    return shutil.copytree(interrupted, tmp_path / "outputs")


@pytest.mark.parametrize("kind", DAMAGES)
def test_what_can_be_computed_again_is(tree, images, expected, capsys, kind):
    paths = [path for pattern in COMPUTED_AGAIN for path in tree.glob(pattern)]
    checkpoints = list(tree.glob(CHECKPOINTS))
    locks = [*tree.glob("rounds/.locks/*.lock"), *tree.glob("cache/*.lock")]
    for path in paths:
        DAMAGES[kind](path)
    for path in locks:
        path.write_bytes(b"\xff\0foreign")
    experiment(images, tree, 2)
    printed = capsys.readouterr().err
    assert all(f"{path} is damaged" in printed for path in checkpoints)
    assert not wrong(tree, expected)


@pytest.mark.parametrize(("name", "kind"), list(zip(REFUSED, [*DAMAGES] * 2)))
def test_a_damaged_finished_round_is_named_and_refused(tree, images, name, kind):
    [path] = tree.glob(f"rounds/*round01*/{name}")
    DAMAGES[kind](path)
    with pytest.raises(DataError, match=f"{name} is .*; delete the folder"):
        experiment(images, tree, 2)


def test_what_is_deleted_is_trained_again_and_drafts_are_removed(tree, images, expected):
    shutil.rmtree(next(tree.glob("rounds/*round01*")))
    shutil.rmtree(next(tree.glob("cache/pixels-*/")))
    shutil.rmtree(next(tree.glob("rounds/*round02*")))
    for folder in ("", "checkpoints", "tests"):
        draft = tree / folder / ".x.00.draft"
        draft.write_text("half")
        os.utime(draft, (1, 1))
    experiment(images, tree, 2)
    assert not wrong(tree, expected)
