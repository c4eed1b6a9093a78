"""Bad input of every kind: an exit code, one sentence, no traceback, and nothing that was finished is lost."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch

import lth.run
from tests import damage as D
from tests.conftest import write_parts

BASE = (
    *("data=folder", "data.image_size=8", "data.batch_size=8", "epochs=1", "model=lenet_300_100"),
    *("trainer=cpu", "prune.rounds=0", "logger=none"),
)
IMAGE = r"the image .*down/{} cannot be decoded \(.*{}.*\)\. data\.on_error=skip leaves them out"
WEIGHTS, SAFE = "model.weights={root}/w.pth", "model.weights={root}/w.safetensors"

# What is done to the images, arguments, exit code, what the sentence says; '' as a sentence: it works.
CASES = [
    (None, "prune.rate=2", 2, "^lth: prune.rate=2.0 is not accepted: it takes a number above 0 and below 1.$"),
    (None, "prune.rat=0.2", 2, r"^lth: prune.rat is no key; did you mean prune.rate=\?$"),
    (None, "--multrun", 2, "unrecognized arguments: --multrun"),
    (None, "--cfg=jbo", 2, "invalid choice"),
    (None, "finetune=layer9", 2, "layer9 is no block; it takes all, head, fc1, fc2"),
    (None, "finetune=", 2, "is no block"),
    (None, "model.name=resnet19", 2, "one of alexnet, .*resnet18"),
    (None, "model.weights=/nowhere.pth", 2, "imagenet, none, or a .pth or .safetensors file"),
    (None, "model.weights=imagenet", 2, "with model=lenet_300_100"),
    (None, "features.dtype=float16", 2, "no features are cached"),
    (None, "data.root=/nowhere", 1, "^lth: data.root=/nowhere is no folder"),
    (None, "data.root={root}/" + str(D.ONE), 1, "data.root=.* is no folder"),
    (D.without("train", "across"), "", 1, "different class folders: only one of them has across"),
    (
        None,
        "data.classes=down+up",
        2,
        r"^lth: data.classes=down\+up is not accepted: it takes all, or .* across, down, plain, joined",
    ),
    (D.keeping(0), "", 1, r"class folder .*down holds no image"),
    (D.keeping(1), "", 1, "the class down has a single image to train on"),
    (D.without("test"), "", 0, ""),
    (D.odd_images, "", 0, ""),
    (D.huge, "", 1, IMAGE.format("000.png", "exceeds limit")),
    (D.truncated, "", 1, IMAGE.format("000.png", "truncated")),
    (D.truncated, "data.on_error=skip", 0, r"cannot be decoded and are skipped: 1 \(.*down/000\.png\)"),
    (D.parts_without_classes, "", 1, r"not clear which folders of .* \(Test, Train\) are parts"),
    (D.duplicates, "", 0, "validation images that also train, byte by byte: 1 of 3"),
    (D.link, "", 1, IMAGE.format("link.png", "no such file")),
    (D.pipe, "", 1, IMAGE.format("pipe.png", "no such file")),
    (D.pipe, "data.on_error=skip", 0, r"skipped: 1 \(.*pipe\.png"),
    (D.unreadable, "", 1, IMAGE.format("000.png", "Permission denied")),
    (D.called("ö✓<b>$(mkdir ran)`mkdir ran`;{0}|$x$"), "logger=tensorboard", 0, ""),
    (D.called(b"a\xff"), "", 1, r"the name '.*\\udcff.*' is no UTF-8; rename it"),
    (D.leak, "", 0, "lth: warning: test images that also train or validate, byte by byte: 2 of 11; test"),
    (D.in_two_classes, "", 0, "lth: warning: images in more than one class, byte by byte: 1; no network"),
    (D.weights({"conv.weight": torch.zeros(2)}), WEIGHTS, 1, "do not fit .*Missing key.*fc1.*conv.weight"),
    (D.weights({3: torch.zeros(3)}), WEIGHTS, 1, r"weights .* cannot be read"),
    (D.weights({"fc1.weight": D.Runs()}), WEIGHTS, 1, r"cannot be read \(UnpicklingError\)"),
    (D.half_weights, SAFE, 1, r"weights .*w\.safetensors cannot be read \(SafetensorError\)"),
    (D.infinite_weights, SAFE, 1, "not finite numbers in fc1.1.weight"),
    (None, "outputs={root}/" + str(D.ONE), 2, r"outputs=.*000\.png is not accepted: it takes a folder"),
    (None, "data.cache={root}/" + str(D.ONE) + "/x", 2, "data.cache=.* is not accepted: it takes a folder"),
    (None, "prune.rounds=1 prune.rewind=9ep", 2, "prune.rewind=9ep is not accepted: training takes"),
    (None, "prune.rounds=1 prune.controls=all prune.control_rounds=9", 2, "there is no round 9"),
    (None, "prune.rounds=9 prune.rate=0.99", 2, "in round 3 no weight would be left; it takes at most 2"),
    (None, "prune.rounds=80", 2, "in round 4. none of the 2 weights left would be pruned"),
    (None, "optim.lr=1e38 epochs=3", 1, "loss is nan at iteration .* the round is not finished; no checkpoint"),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("good"), 6, 3)


@pytest.fixture
def command(typed, monkeypatch, tmp_path):
    """A function that runs a command line in this process: the exit code, and stderr without the progress of rounds."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        code, _, err = typed(lth.run.main, *arguments)
        assert not list(tmp_path.rglob(D.MESSAGE)), "nothing ran"
        return code, "\n".join(line for line in err.splitlines() if not re.match(r"(job \d+, )?round \d+/|lth: decoding", line))

    return call


def contents(outputs: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in (outputs / "rounds").rglob("*.*") if p.is_file() and ".locks" not in p.parts}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    """An outputs folder that all cases use; what is finished in it stays as it is."""
    return tmp_path_factory.mktemp("outputs")


@pytest.mark.parametrize(("change", "arguments", "code", "sentence"), CASES)
def test_bad_input(command, good, outputs, tmp_path, change, arguments, code, sentence):
    if change is D.unreadable and os.geteuid() == 0:
        pytest.skip("root reads everything")
    root = shutil.copytree(good, tmp_path / "ä folder") if change else good
    if change:
        change(root)
    given = [argument.format(root=root) for argument in arguments.split()]
    shared = [f"data.root='{root}'", f"outputs={outputs}"]
    shared = [word for word in shared if not any(other.startswith(word.partition("=")[0] + "=") for other in given)]
    before = contents(outputs)
    got, text = command(*BASE, *shared, *(re.sub(r"=(.*[ä/].*)", r"='\1'", word) for word in given))
    assert got == code, text
    assert len(text.splitlines()) == bool(sentence), text
    assert text.startswith("lth: " if sentence else "")
    assert re.search(sentence, text), text
    assert before.items() <= contents(outputs).items(), "nothing finished is touched"


def test_the_last_good_checkpoint_of_a_training_that_diverges_is_named(command, good, tmp_path):
    outputs = tmp_path / "o"
    slow = ["optim.lr=1e4", "optim.name=sgd", "optim.momentum=0.99", "epochs=200", "trainer.checkpoint_minutes=1e-9"]
    code, text = command(*BASE, f"data.root={good}", f"outputs={outputs}", *slow)
    assert code == 1
    [path] = (outputs / "checkpoints").glob("*.safetensors")
    sentence = re.fullmatch(
        r"lth: the \w+ loss is \w+ at iteration (\d+), epoch \d+: training stopped, the round is not finished; "
        r"its last good checkpoint is (.*), iteration (\d+)\. A lower optim\.lr, or optim\.clip=1, may help\.",
        text,
    )
    assert sentence, text
    assert Path(sentence[2]) == path
    assert 0 < int(sentence[3]) < int(sentence[1])
    assert not list(outputs.glob("rounds/*/round.json"))


def test_a_leak_is_named_once_in_a_sweep(command, good, tmp_path):
    root = shutil.copytree(good, tmp_path / "d")
    D.leak(root)
    code, text = command("-m", *BASE, f"data.root={root}", f"outputs={tmp_path}/o", "seed=0,1")
    assert code == 0, text
    assert text.count("byte by byte: 2 of 11") == 1
