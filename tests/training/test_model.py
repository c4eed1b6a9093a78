"""Networks of rounds: those of copied folders, attention networks, and networks on the device that scores them."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

import lth
from lth import errors
from lth.analysis import table
from lth.data.split import prepare
from lth.errors import DataError
from lth.invariants.verify import verify
from lth.models import libraries
from lth.pruning import criteria
from lth.training import connectivity, images
from lth.training.device import Device
from tests.training import run


@pytest.mark.parametrize("model", ["simple_cnn", "resnet20"])
def test_a_copied_folder_gives_the_ticket_and_a_network_that_predicts_as_the_round_did(make_config, tmp_path, model):
    config = make_config(rounds=1, model=model)
    record = run(config)[1]
    copy = shutil.copytree(record.folder, tmp_path / "copy")
    shutil.rmtree(config.outputs)
    net, ticket = lth.load_model(copy), lth.load_ticket(copy)
    assert type(net).__module__.startswith(("torch", "lth.models"))
    assert (net.training, net.classes, net.image_size) == (False, ["across", "down", "plain"], 20)
    for name, tensor in load_file(copy / "final.safetensors").items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert ticket.density == pytest.approx(0.8, abs=1e-3)
    assert all(torch.equal(net.get_parameter(n)[~m], torch.zeros(int((~m).sum()))) for n, m in ticket.masks.items())
    settings = (copy / "config.yaml").read_text()
    assert "epochs: 2" in settings
    assert f"name: {model}" in settings
    splits = prepare(config.data)
    pixels = torch.from_numpy(splits.test_images.take(splits.test)).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (net.mean, net.std))
    with torch.no_grad():
        assert net((pixels - mean) / std).argmax(1).tolist() == np.load(copy / "predictions.npy").tolist()


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_final_weights_load_strictly_into_torchvision(make_config, name):
    [record] = run(make_config(rounds=0, epochs=1, model=name, image_size=32))
    net = torchvision.models.get_model(name, num_classes=3)
    net.load_state_dict(load_file(record.folder / "final.safetensors"), strict=True)


def test_what_is_no_finished_round_is_refused(make_config, tmp_path):
    with pytest.raises(DataError, match=r"holds no round.json; name the folder of a finished round"):
        lth.load_model(tmp_path)
    [record] = run(make_config(rounds=0, epochs=1))
    (record.folder / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(DataError, match=r"config.yaml is missing, or does not match its hash"):
        lth.load_model(record.folder)


def swin() -> SwinTransformer:
    return SwinTransformer([4, 4], embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=[2, 2], num_classes=10)


def vit() -> VisionTransformer:
    return VisionTransformer(image_size=20, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=10)


@pytest.mark.parametrize(("name", "make"), [("swin_t", swin), ("vit_b_16", vit)])
def test_attention_networks_have_exact_parameters_and_flops(make_config, monkeypatch, tmp_path, name, make):
    networks, built = [], images.build
    monkeypatch.setattr(libraries.zoo, "get_model", lambda name, **options: make())
    monkeypatch.setattr(images, "build", lambda *args: networks.append(built(*args)) or networks[-1])
    dense, _, ticket = run(make_config(rounds=2, model=name, epochs=1, logger="tensorboard"))
    assert dense.parameters == sum(p.numel() for p in networks[0].net.parameters())
    assert dense.effective_density == 1
    assert 0 < ticket.effective_density <= ticket.density
    whole = dense.layer_flops
    assert dense.flops == dense.flops_remaining == sum(whole.values())
    assert ticket.flops_remaining == round(sum(flops * ticket.layers.get(layer, 1) for layer, flops in whole.items()))
    assert set(ticket.layers) == set(whole) - {"attention"}, "all weights that are multiplied are pruned"
    assert min(whole[layer] for layer in ticket.layers) > 0
    row = next(line for line in table.layers(ticket).splitlines() if " attention " in line)
    products = str(whole["attention"])
    assert row.replace("|", " ").split() == ["attention", "-", "100.00%", products, products]
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0


class Rounded(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](x).round())


def test_a_network_that_cannot_be_followed_has_no_effective_density_and_one_sentence_says_so(
    make_config, monkeypatch, tmp_path, capsys
):
    errors.notice_once.cache_clear()

    def rounded(name, weights):
        return Rounded(nn.Sequential(nn.Flatten(), nn.Linear(1200, 4)), nn.Linear(4, 10))

    monkeypatch.setattr(libraries.zoo, "get_model", rounded)
    records = run(make_config(rounds=1, model="resnet18", epochs=1, logger="tensorboard"))
    assert [record.effective_density for record in records] == [None, None]
    printed = [line for line in capsys.readouterr().err.splitlines() if "effective density" in line]
    assert len(printed) == 1
    assert printed[0].startswith("lth: the effective density of Rounded is not known: ")
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0


@pytest.mark.parametrize(("kind", "rank", "place"), [
    ("cuda", "1", "cuda:1"), ("cuda", None, "cuda:0"), ("cpu", "1", "cpu"), ("mps", None, "mps"),
])  # fmt: skip
def test_each_rank_has_its_own_device(monkeypatch, kind, rank, place):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert Device(kind, "32-true").torch_name == place


@pytest.mark.parametrize(
    ("criterion", "module", "name"), [("snip", criteria, "_loss"), ("magnitude", connectivity, "line")]
)  # fmt: skip
def test_a_network_is_moved_to_the_device_before_it_is_scored(make_config, monkeypatch, criterion, module, name):
    """Lightning has left it on the CPU; another name of the CPU stands for the device here."""
    events, to, score = [], nn.Module.to, getattr(module, name)
    monkeypatch.setattr(Device, "torch_name", "cpu:0")
    monkeypatch.setattr(nn.Module, "to", lambda self, *args, **how: events.append(str(*args)) or to(self, *args, **how))
    monkeypatch.setattr(module, name, lambda *args, **options: events.append(name) or score(*args, **options))
    run(make_config(rounds=1, epochs=1), prune__criterion=criterion, prune__controls="order")
    assert name in events
    assert all(before == "cpu:0" for before, event in pairwise(events) if event == name)
