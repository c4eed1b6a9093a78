"""Networks made for transfer: heads, blocks, weights, the cut."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lth.config import Config, Data, Model, Optim
from lth.errors import DataError, UsageError
from lth.models import cut, flops, weights
from lth.models.blocks import blocks
from lth.models.build import Network, build, check
from lth.models.classifier import Classifier
from lth.pruning import masks as M

NETWORKS = ("resnet18", "densenet121", "efficientnet_lite0", "mobilenet_v3_small")


def network(name: str, finetune: str = "all", **options):
    torch.manual_seed(0)
    return build(Config(model=Model(name, **options), finetune=finetune, data=Data(image_size=64)), 6)


@pytest.mark.parametrize(("name", "shapes"), [("resnet18", [(256, 512), (6, 256)]), ("densenet121", [(512, 1024), (6, 512)])])
def test_heads_are_those_of_the_previous_study(name, shapes):
    head = network(name, head="mlp").net.get_submodule({"resnet18": "fc", "densenet121": "classifier"}[name])
    assert [tuple(p.shape) for p in head.parameters() if p.dim() == 2] == shapes
    linear = network(name).net
    assert set(linear.state_dict()) == set(stock(name).state_dict())


def stock(name: str) -> nn.Module:
    from torchvision import models

    return models.get_model(name, weights=None)


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("resnet18", ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]),
        ("densenet121", ["conv0", "norm0", "denseblock1", "transition1", "denseblock2", "transition2", "denseblock3"]),
        ("efficientnet_lite0", ["conv_stem", "bn0", *[f"blocks.{i}" for i in range(16)], "conv_head", "bn1", "fc"]),
        ("mobilenet_v3_small", [f"features.{i}" for i in range(13)]),
    ],
)
def test_blocks_have_the_names_that_people_use(name, some):
    assert list(blocks(network(name).net))[: len(some)] == some


@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_blocks_stay_in_eval_mode_and_only_the_head_trains(name):
    model = network(name, "head")
    module = Classifier(model, Optim(), 6)
    module.eval()
    module.train()
    trained = [n for n, p in model.net.named_parameters() if p.requires_grad]
    assert trained == [n for n, _ in model.net.named_parameters() if n.startswith(f"{model.head}.")]
    spared = set(M.prunable(model.net, scope="all")) - set(M.prunable(model.net, spare=[model.head], scope="all"))
    assert spared == set(M.prunable(model.net)), "prune.head=false and finetune=head mean the same layers"
    assert not any(m.training for m in model.net.modules() if isinstance(m, nn.BatchNorm2d))
    Classifier(model, Optim(), 6, frozen_bn="train")
    assert all(m.training for m in model.net.modules() if isinstance(m, nn.BatchNorm2d))
    drifting = network(name, "head", frozen_bn="train")
    assert all(m.training for m in drifting.net.modules() if isinstance(m, nn.BatchNorm2d))


def test_a_wrong_network_lists_the_right_ones():
    with pytest.raises(UsageError, match=r"model\.name=resnet19 is not accepted: it takes one of .*resnet18"):
        network("resnet19")
    with pytest.raises(UsageError, match="no linear classifier"):
        network("squeezenet1_0")


CUTS = [
    ("resnet18", "head", (512,)), ("resnet18", "layer4", (256, 4, 4)), ("densenet121", "head", (1024,)),
    ("densenet121", "denseblock3", (256, 4, 4)), ("efficientnet_lite0", "head", (1280,)),
    ("efficientnet_lite0", "blocks.15", (192, 2, 2)), ("mobilenet_v3_small", "features.11", (96, 2, 2)),
    ("simple_cnn", "fc3", (512,)), ("resnet20", "layer3", (32, 32, 32)), ("conv4", "fc2", (256,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "finetune", "shape"), CUTS)
def test_a_cut_network_computes_the_same_to_the_bit(name, finetune, shape):
    model = network(name, finetune)
    module, parts = Classifier(model, Optim(), 6), cut.cut(model.net)
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        features = parts.prefix(images)
    assert tuple(features.shape[1:]) == shape
    for train in (True, False):
        module.train(train)
        outputs, grads = [], []
        for function, inputs in ((model.net, images), (parts.suffix, features)):
            torch.manual_seed(1)
            model.net.zero_grad()
            out = function(inputs)
            out.square().sum().backward()
            outputs.append(out.detach())
            grads.append([p.grad.clone() for p in model.net.parameters() if p.requires_grad])
        assert torch.equal(*outputs)
        assert all(torch.equal(a, b) for a, b in zip(*grads))
    assert not any(p.grad is not None for p in model.net.parameters() if not p.requires_grad)


def test_where_nothing_is_constant_there_is_no_cut():
    assert cut.cut(network("resnet18").net) is None
    assert cut.cut(network("resnet18", "conv1").net) is None
    assert cut.cut(network("resnet18", "head", frozen_bn="train").net).name == "conv1", "up to the first BatchNorm that drifts"


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x) if self.training else x


class Noisy(nn.Module):
    """Adds noise between two frozen layers."""

    def __init__(self, noise):
        super().__init__()
        self.first, self.noise, self.second, self.head = nn.Linear(3, 3), noise, nn.Linear(3, 3), nn.Linear(3, 2)
        for layer in (self.first, self.second):
            layer.requires_grad_(False)

    def forward(self, x):
        return self.head(self.second(self.noise(self.first(x))))


def test_a_cut_is_made_before_the_first_draw():
    assert cut.cut(Noisy(nn.Tanh())).name == "second"
    assert cut.cut(Noisy(Noise())).name == "first"
    assert cut.cut(Noisy(lambda x: x + torch.randn_like(x))).name == "first"
    assert cut.cut(Noisy(lambda x: x + torch.rand(3))) is None, "the draw would be a constant of the graph"


def test_the_hash_of_a_prefix_follows_its_weights_and_its_end():
    one, two = network("resnet18", "layer4"), network("resnet18", "head")
    hashes = [cut.hash_prefix(cut.cut(m.net).prefix) for m in (one, two)]
    one.net.fc.weight.data.add_(1)
    assert cut.hash_prefix(cut.cut(one.net).prefix) == hashes[0] != hashes[1]
    one.net.layer1[0].bn1.running_mean[0] += 1
    assert cut.hash_prefix(cut.cut(one.net).prefix) != hashes[0]


def saved(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    return tmp_path / "w.pth"


def load(model: Network, path: Path) -> None:
    weights.load(model.net, path, model.head)


def test_weights_of_the_stock_network_are_loaded_and_the_head_is_new(tmp_path):
    source = stock("resnet18")
    model = network("resnet18")
    head = {n: t.clone() for n, t in model.net.fc.state_dict().items()}
    load(model, saved(tmp_path, source.state_dict()))
    for name, tensor in source.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(model.net.state_dict()[name], tensor), name
    assert all(torch.equal(model.net.fc.state_dict()[n], t) for n, t in head.items())


def test_weights_of_our_own_are_loaded_with_the_head(tmp_path):
    source, model = network("resnet18"), network("resnet18")
    with torch.no_grad():
        for p in source.net.parameters():
            p.add_(1)
    load(model, saved(tmp_path, {"state_dict": source.net.state_dict()}))
    assert all(torch.equal(t, source.net.state_dict()[n]) for n, t in model.net.state_dict().items())


def test_old_densenet_keys_are_understood(tmp_path):
    source = stock("densenet121")
    old = {}
    for name, tensor in source.state_dict().items():
        for layer in ("norm", "conv"):
            for k in ("1", "2"):
                name = name.replace(f".{layer}{k}.", f".{layer}.{k}.") if "denselayer" in name else name
        old[name] = tensor
    assert any(".norm.1." in name for name in old)
    model = network("densenet121")
    load(model, saved(tmp_path, old))
    key = "features.denseblock3.denselayer7.conv2.weight"
    assert torch.equal(model.net.state_dict()[key], source.state_dict()[key])


def test_every_key_that_does_not_fit_is_named(tmp_path):
    state = stock("resnet18").state_dict()
    del state["layer1.0.conv1.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["conv1.weight"] = torch.zeros(2, 2)
    model = network("resnet18")
    with pytest.raises(DataError) as caught:
        load(model, saved(tmp_path, state))
    message = str(caught.value)
    assert re.match(r".*w\.pth do not fit ResNet: Missing .*layer1\.0\.conv1\.weight.*; Unexpected .*layer9\.weight", message)
    assert re.search(r"size mismatch for conv1\.weight.*\[2, 2\].*\[64, 3, 7, 7\]\)\.$", message)
    with pytest.raises(DataError, match="do not fit ResNet"):
        check(Config(model=Model("resnet18")), tmp_path / "w.pth")


def test_a_file_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    with pytest.raises(DataError, match="cannot be read"):
        weights.read(saved(tmp_path, {"w": Evil()}))
    with pytest.raises(UsageError, match=r"model\.weights=.*nowhere"):
        weights.locate(Model("resnet18", weights=str(tmp_path / "nowhere")))
    with pytest.raises(UsageError, match="imagenet is not accepted with model=simple_cnn"):
        weights.locate(Model("simple_cnn", weights="imagenet"))


def test_without_network_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(weights, "reachable", lambda host: True)
    with pytest.raises(DataError, match=r"could not be downloaded .* put the file resnet18-\w+\.pth into .*model\.weights=none"):
        weights.locate(Model("resnet18", weights="imagenet"))
    with pytest.raises(UsageError, match="no weights"):
        weights.locate(Model("resnet19", weights="imagenet"))


def test_nothing_is_tried_with_a_hub_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "reachable", lambda host: False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("it would hang"))
    with pytest.raises(DataError, match=r"of resnet18 could not be downloaded .*model\.weights=FILE, .*model\.weights=none\.$"):
        weights.locate(Model("resnet18", weights="imagenet"))
    place = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    place.parent.mkdir(parents=True)
    place.touch()
    assert weights.locate(Model("resnet18", weights="imagenet")) == place


def test_flops_are_the_literatures_and_leave_the_network_as_it_was():
    net = stock("resnet18")
    counted = flops.per_layer(net, 224)
    assert net.training
    assert abs(sum(counted.values()) / 2e9 - 1.814) < 0.01  # 1.8 G multiplications, He et al. 2016
    assert counted["fc.weight"] == 2 * 512 * 1000
    assert flops.remaining(counted, {"fc.weight": 0.5}) == sum(counted.values()) - 512 * 1000


class Shifted(nn.Module):
    """Reads a buffer by name, as Swin's blocks do."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)
        self.register_buffer("shift", torch.randn(4, 1, 1))
        self.register_buffer("scale", torch.randn(4))
        self.body.requires_grad_(False)

    def forward(self, x):
        return self.head((self.body(x) + self.shift).mean((2, 3)) * self.scale)


def test_buffers_that_a_forward_reads_by_name_move_along():
    net = Shifted().train()
    parts = cut.cut(net)
    net.to(torch.float64)
    parts.to(torch.float64)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(parts.suffix(parts.prefix(images)), net(images))
    assert torch.equal(parts.prefix(images), net.eval() and (net.body(images) + net.shift).mean((2, 3)) * net.scale)
