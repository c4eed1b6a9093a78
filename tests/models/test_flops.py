"""FLOPs of attention networks and others, beside torch's own total and numbers that are computed by hand."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from torchvision import models

from lth import errors
from lth.models import flops


def total(net: nn.Module, size: int, monkeypatch) -> int:
    """What torch counts."""
    monkeypatch.setattr(torch.backends.mha, "get_fastpath_enabled", lambda: False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, 3, size, size))
    return counter.get_total_flops()


@pytest.mark.parametrize(
    ("name", "size", "attends"),
    [
        ("densenet121", 64, False), ("mobilenet_v3_small", 64, False),
        ("swin_t", 64, True), ("swin_v2_t", 64, True), ("vit_b_16", 224, True), ("maxvit_t", 224, True),
    ],
)  # fmt: skip
def test_the_total_is_torchs_own(name, size, attends, monkeypatch):
    net = models.get_model(name, weights=None)
    counted = flops.per_layer(net, size)
    assert sum(counted.values()) == total(net, size, monkeypatch)
    weights = {n: p for n, p in net.named_parameters() if p.dim() > 1}
    assert set(counted) - set(weights) == ({"attention"} if attends else set())
    assert {f"{n}.weight" for n, m in net.named_modules() if isinstance(m, flops.KINDS)} <= set(counted)
    assert min(counted.values()) > 0


def test_a_vision_transformer_by_hand():
    torch.backends.mha.set_fastpath_enabled(True)
    counted = flops.per_layer(models.vit_b_16(weights=None), 224)
    tokens, width = 197, 768
    assert counted["attention"] == 12 * 2 * 2 * tokens * tokens * width
    assert counted["encoder.layers.encoder_layer_3.self_attention.in_proj_weight"] == 2 * tokens * width * 3 * width
    assert counted["encoder.layers.encoder_layer_3.self_attention.out_proj.weight"] == 2 * tokens * width * width
    assert torch.backends.mha.get_fastpath_enabled()


def test_flops_are_the_literatures_and_half_of_a_layers_weights_need_half_of_its_flops():
    net = models.resnet18(weights=None)
    counted = flops.per_layer(net, 224)
    assert net.training, "the network is as it was"
    assert sum(counted.values()) / 2e9 == pytest.approx(1.814, abs=0.01)  # 1.8 G multiplications, He et al. 2016
    assert counted["fc.weight"] == 2 * 512 * 1000
    mask = torch.arange(512 * 1000).view(1000, 512) % 2 == 0
    sizes = flops.sizes(11_689_512, {"fc.weight": mask}, counted | {"attention": 10})
    assert sizes["flops"] == sum(counted.values()) + 10
    assert sizes["flops_remaining"] == sizes["flops"] - 512 * 1000
    assert sizes["model_density"] == 1 - 256_000 / 11_689_512
    assert flops.sizes(1, {}, {})["speedup"] is None


class Mixed(nn.Module):
    """A weight that is normalised, one that is multiplied without a layer, one of a layer that does not run; an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 2, 3, bias=False))
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.own, self.place = nn.Parameter(torch.ones(5, 7)), nn.Parameter(torch.ones(1, 2, 5))
        self.spare, self.first, self.second = nn.Linear(5, 5), nn.Linear(7, 7, bias=False), nn.Linear(7, 7, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        x, _ = self.lstm(self.conv(x)[:, :, 0])
        x = torch.cat([self.place.expand(len(x), -1, -1), x * self.place + self.place], 1)
        return self.second(self.first(torch.einsum("bld,de->ble", x, self.own)))


def test_a_weight_is_known_by_its_memory_and_what_has_no_formula_is_named_once(capsys):
    errors.notice_once.cache_clear()
    net = Mixed()
    counted = [flops.per_layer(net, 8) for _ in range(2)]
    assert counted[0] == counted[1] == {
        "conv.parametrizations.weight.original1": 2 * 36 * 27 * 2, "own": 2 * 4 * 5 * 7, "first.weight": 2 * (2 * 4 * 7 * 7),
        "spare.weight": 0,
    }  # fmt: skip
    assert capsys.readouterr().err == "lth: the FLOPs of lstm are not counted: torch has no formula for them.\n"
