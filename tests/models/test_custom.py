"""A network of the user's own: how it is made, what is refused, and a round from the command line."""

import sys
from pathlib import Path

import pytest
import torch

import lth
import lth.run as command
from lth.config import Config, Data, Model
from lth.errors import UsageError
from lth.hashes import of_tensors
from lth.invariants.verify import verify
from lth.models.blocks import blocks
from lth.models.build import build, check
from lth.tree.spec import chain

MY_NETS = """
import torch
from torch import nn

def make(classes, channels, image_size):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Sequential(nn.Linear(4 * (image_size - 2) ** 2, 8), nn.ReLU(), nn.Linear(8, classes)),
    )

class Wrapped(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)

def wrapped(classes, channels, image_size): return Wrapped(make(classes, channels, image_size))
def nothing(classes, channels, image_size): return [1]
def broken(classes, channels, image_size): raise KeyError("weights\\nof all")
def one_more(classes, channels, image_size): return make(classes + 1, channels, image_size)
def no_linear(classes, channels, image_size): return nn.Sequential(*make(classes, channels, image_size), nn.BatchNorm1d(classes))
def larger(classes, channels, image_size): return make(classes, channels, image_size + 1)
"""


@pytest.fixture
def my_nets(tmp_path, monkeypatch) -> Path:
    """The working folder with the module."""
    (tmp_path / "my_nets.py").write_text(MY_NETS)
    (tmp_path / "bad_nets.py").write_text("import torch\nmake = \n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("my_nets", None)


def configured(target: str = "my_nets:make", channels: int = 3, **changes) -> Config:
    return Config(model=Model("custom", target=target), data=Data(image_size=12, channels=channels), **changes)


@pytest.mark.parametrize(("function", "head"), [("make", "5"), ("wrapped", "net.5")])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_custom_network_is_built_as_any_other(my_nets, function, head, channels):
    built, target = [], f"my_nets:{function}"
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        if len(built) == 1:
            check(configured(target, channels))  # draws nothing
        network = build(configured(target, channels), 5)
        built.append((of_tensors(network.net.state_dict()), torch.rand(1).item()))
    assert built[0] == built[1] != built[2]
    assert (network.head, network.normalize, network.frozen) == (head, "imagenet", ())
    assert all(module.training for module in network.net.modules())
    assert list(blocks(network.net)) == ["0", "1", "5"]
    one_block = build(configured(target, channels, finetune="1"), 5)
    assert [p.shape[0] for p in one_block.net.parameters() if not p.requires_grad] == [4, 4], "the first convolution"
    assert one_block.frozen == (blocks(one_block.net)["0"],)
    with pytest.raises(UsageError, match="finetune=9 is not accepted: 9 is no block; it takes all, head, 0, 1, 5,"):
        check(configured(target, channels, finetune="9"))


REFUSED = [
    ("no_such_module:make", "ModuleNotFoundError: No module named 'no_such_module'"),
    ("bad_nets:make", "SyntaxError: invalid syntax"),
    ("my_nets:absent", "AttributeError: module 'my_nets' has no attribute 'absent'"),
    ("my_nets:nothing", "AttributeError: 'list' object has no attribute"),
    ("my_nets:broken", "KeyError: "),
    ("my_nets:one_more", r"one image gives \(1, 6\) in place of \(1, 5\)"),
    ("my_nets:larger", "RuntimeError: mat1 and mat2"),
    ("my_nets:no_linear", "the last child with parameters is the head, and has to end in a Linear"),
]


@pytest.mark.parametrize(("target", "reason"), REFUSED)
def test_what_is_no_network_is_refused_in_one_sentence(my_nets, target, reason):
    with pytest.raises(UsageError, match=f"^model.target={target} is not accepted: it takes a function .*{reason}.*[.]$"):
        build(configured(target), 5)


def test_target_and_version_are_in_the_key_and_options_of_other_networks_are_not():
    models = [Model("custom", target=target, version=version) for target in ("a:make", "b:make") for version in ("", "2")]
    keys = [chain(Config(model=model), "images", "32-true")[0].key for model in models]
    assert len(set(keys)) == 4
    other = Model("custom", target="a:make", head="mlp", width=2.0, dropout=0.5)
    assert chain(Config(model=other), "images", "32-true")[0].key == keys[0]


def test_a_custom_network_runs_from_the_command_line_and_tables_call_it_by_its_target(my_nets, images, typed):
    options = "model=custom model.target=my_nets:make data=folder data.image_size=12 prune.rounds=1 epochs=1 trainer=cpu"
    code, _, err = typed(command.main, *options.split(), "logger=none", f"data.root={images}")
    assert code == 0, err
    assert "my_nets:make" in (my_nets / "outputs" / "results.csv").read_text()
    rounds = lth.rounds(my_nets / "outputs")
    assert rounds["model"].tolist() == ["my_nets:make"] * 2
    assert set(rounds["layers"].iloc[1]) == {"0.weight", "5.0.weight", "5.2.weight"}
    assert verify(my_nets / "outputs", say=lambda line: None) == 0
    assert type(lth.load_model(rounds["folder"].iloc[1])[5][2]) is torch.nn.Linear
