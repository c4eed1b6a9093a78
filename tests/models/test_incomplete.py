"""Weights of a file that lacks some: BatchNorm folded into convolutions, parts that are not there, and what stays an error."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from lth import errors
from lth.config import Config, Data, Model
from lth.errors import DataError
from lth.hashes import differing
from lth.models import incomplete
from lth.models.build import build, check
from lth.tree.spec import chain

State = dict[str, torch.Tensor]


def config(name: str, missing: str = "fresh", library: str = "torchvision") -> Config:
    return Config(model=Model(name, library=library, weights_missing=missing), data=Data(image_size=32))


def built(name: str, seed: int = 0, path: Path | None = None) -> nn.Module:
    torch.manual_seed(seed)
    return build(config(name), 6, path).net


def trained(net: nn.Module) -> nn.Module:
    """Give it a BatchNorm that does something, and put it into eval mode."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                tensor.uniform_(0.5, 1.5)
    return net.eval()


def folded(net: nn.Module, norms: list[str]) -> State:
    """Its weights with these BatchNorm folded, by torch's own function."""
    state, layers = net.state_dict(), dict(incomplete._pairs(net))
    for layer, norm in layers.items():
        if norm in norms:
            one = fuse_conv_bn_eval(net.get_submodule(layer), net.get_submodule(norm))
            state = {name: t for name, t in state.items() if not name.startswith(f"{norm}.")}
            state |= {f"{layer}.weight": one.weight.data, f"{layer}.bias": one.bias.data}
    return state


def saved(folder: Path, state: State) -> Path:
    torch.save(state, folder / "w.pth")
    return folder / "w.pth"


@pytest.fixture(autouse=True)
def _each_sentence_again():
    errors.notice_once.cache_clear()


@pytest.mark.parametrize(("name", "norms"), [("resnet18", 20), ("densenet121", 59), ("efficientnet_lite0", 49)])
def test_a_network_with_folded_norms_computes_what_the_whole_one_does(tmp_path, capsys, name, norms):
    whole = trained(built(name, 1))
    pairs = list(incomplete._pairs(whole))
    assert len(pairs) == norms
    path = saved(tmp_path, folded(whole, [norm for _, norm in pairs]))
    check(config(name), path)
    net = built(name, 2, path).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(net(images), whole(images), rtol=1e-5, atol=1e-5)
    printed = f"lth: the weights {path} have {norms} BatchNorm folded into the layers before, whose biases they start as.\n"
    assert capsys.readouterr().err == printed, "once, and nothing is lacking"
    with pytest.raises(DataError, match=r"Missing .*running_mean.*; Unexpected.*bias.*; model\.weights_missing=fresh takes"):
        check(config(name, "refuse"), path)


def test_a_convolution_with_a_bias_of_its_own_takes_the_folded_one():
    torch.manual_seed(0)
    whole, net = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)) for _ in range(2))
    state, norms = incomplete.unfolded(folded(trained(whole), ["1"]), net)
    assert norms == ["1"]
    net.load_state_dict(state | {"1.num_batches_tracked": torch.tensor(0)})
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(net.eval()(images), whole(images), rtol=1e-5, atol=1e-6)
    assert not state["1.bias"].any()


def test_a_norm_in_front_of_its_convolution_is_not_taken_for_folded(tmp_path):
    state = folded(whole := trained(built("densenet121")), [])
    state = {name: t for name, t in state.items() if "denselayer1.norm1" not in name}
    assert incomplete.unfolded(state, whole)[1] == []


def test_each_part_that_is_lacking_is_named_and_is_the_seeds(tmp_path, capsys):
    state, seeds = built("resnet18", 1).state_dict(), built("resnet18", 2).state_dict()
    lacking = [n for n in state if n.startswith(("layer4.", "layer1.0.conv2", "fc.", "bn1.weight"))]
    path = saved(tmp_path, {name: t for name, t in state.items() if name not in lacking})
    got = built("resnet18", 2, path).state_dict()
    assert not differing({name: t for name, t in got.items() if name in lacking}, {name: seeds[name] for name in lacking})
    assert not differing({name: t for name, t in got.items() if name not in lacking}, torch.load(path))
    sentence = "lack bn1.weight, layer1.0.conv2, layer4: what is lacking starts as the seed draws it."
    assert capsys.readouterr().err == f"lth: the weights {path} {sentence}\n"


@pytest.mark.parametrize(("key", "value"), [("layer9.weight", 1), ("layer1.0.conv1.bias", 64), ("conv1.weight", 2)])
def test_what_is_unexpected_or_misshapen_is_an_error_still(tmp_path, key, value):
    state = built("resnet18").state_dict() | {key: torch.zeros(value)}
    with pytest.raises(DataError, match=rf"do not fit ResNet: .*{re.escape(key)}"):
        check(config("resnet18"), saved(tmp_path, state))


def test_a_whole_file_gives_the_same_network_and_rounds_the_same_key(tmp_path, capsys):
    path = saved(tmp_path, built("resnet18", 1).state_dict())
    keys = [chain(config("resnet18", missing), "images", "32-true", "file")[0].key for missing in ("refuse", "fresh")]
    assert keys[0] == keys[1]
    assert not differing(built("resnet18", 2, path).state_dict(), torch.load(path))
    assert capsys.readouterr().err == ""
