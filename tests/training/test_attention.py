"""Rounds of attention networks: exact parameters and FLOPs, an effective density or none, and files that verify takes."""

import pytest
from torch import nn
from torchvision.models import SwinTransformer, VisionTransformer

from lth import errors
from lth.analysis import table
from lth.invariants.verify import verify
from lth.models import build
from lth.training import images
from lth.training.search import search


def swin() -> SwinTransformer:
    return SwinTransformer([4, 4], embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=[2, 2], num_classes=10)


def vit() -> VisionTransformer:
    return VisionTransformer(image_size=20, patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=10)


@pytest.mark.parametrize(("name", "make"), [("swin_t", swin), ("vit_b_16", vit)])
def test_a_search_on_an_attention_network(make_config, monkeypatch, tmp_path, name, make):
    networks, built = [], images.build
    monkeypatch.setattr(build.zoo, "get_model", lambda name, weights: make())
    monkeypatch.setattr(images, "build", lambda *args: networks.append(built(*args)) or networks[-1])
    dense, ticket = search(make_config(rounds=1, model=name, epochs=1, logger="tensorboard"), say=lambda line: None)
    assert dense.parameters == sum(p.numel() for p in networks[0].net.parameters())
    assert dense.effective_density == 1
    assert 0 < ticket.effective_density <= ticket.density
    whole = dense.layer_flops
    assert dense.flops == dense.flops_remaining == sum(whole.values())
    left = sum(flops * ticket.layers.get(layer, 1) for layer, flops in whole.items())
    assert ticket.flops_remaining == round(left)
    assert min(whole[layer] for layer in ticket.layers) > 0
    row = next(line for line in table.layers(ticket).splitlines() if " attention " in line)
    products = str(whole["attention"])
    assert row.replace("|", " ").split() == ["attention", "-", "100.00%", products, products]
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0


def test_a_network_that_cannot_be_followed_has_no_effective_density_and_one_sentence_says_so(
    make_config, monkeypatch, tmp_path, capsys
):
    class Own(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x).round())

    errors.notice_once.cache_clear()
    own = Own(nn.Sequential(nn.Flatten(), nn.Linear(1200, 4)), nn.Linear(4, 10))
    monkeypatch.setattr(build.zoo, "get_model", lambda name, weights: own)
    config = make_config(rounds=1, model="resnet18", epochs=1, logger="tensorboard")
    records = search(config, say=lambda line: None)
    assert [record.effective_density for record in records] == [None, None]
    told = [line for line in capsys.readouterr().err.splitlines() if "effective density" in line]
    assert len(told) == 1
    assert told[0].startswith("lth: the effective density of Own is not known: ")
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0
