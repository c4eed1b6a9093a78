"""Dead channels are removed exactly: fewer parameters, the same outputs."""

import copy

import pytest
import torch
from torch import nn

from lth.export.shrink import inputs, shrink
from lth.pruning import channels as C
from lth.pruning.coupling import coupled
from lth.pruning.slicing import take
from tests.export.networks import NETWORKS, images, network

pytest.importorskip("torch_pruning", reason="dead channels are found with torch-pruning")


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _same(one: nn.Module, two: nn.Module) -> None:
    with torch.no_grad():
        a, b = one(images()), two(images())
    assert (a - b).abs().max() <= 1e-5 * a.abs().max()
    assert torch.equal(a.argmax(1), b.argmax(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_half_of_the_channels_go_and_the_outputs_stay(name: str) -> None:
    net = network(name)
    groups, _ = coupled(net, images(1))
    keep = [torch.arange(group.channels) % 2 == 0 for group in groups]
    dense = {n: torch.ones_like(p, dtype=torch.bool) for n, p in net.named_parameters() if p.ndim > 1}
    with torch.no_grad():
        for weight, mask in C.masks(groups, keep, dense).items():
            net.get_parameter(weight).mul_(mask)
    before = copy.deepcopy(net.state_dict())
    small = shrink(net, images(1))
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    expected = take(copy.deepcopy(net), groups, keep)
    assert _parameters(small.network) <= _parameters(expected) < 0.75 * _parameters(net)
    assert sum(small.removed.values()) >= sum(int((~one).sum()) for one in keep)
    _same(net, small.network)


@pytest.mark.parametrize("name", NETWORKS)
def test_unstructured_masks_free_what_they_free(name: str) -> None:
    net = network(name)
    with torch.no_grad():
        for n, p in net.named_parameters():
            if p.ndim > 1 and "head" not in n:
                p.mul_(torch.rand(p.shape, generator=torch.Generator().manual_seed(3)) < 0.03)
    _same(net, shrink(net, images(1)).network)


def test_a_constant_unit_moves_into_the_bias_of_the_next_layer() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Sigmoid(), nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        net[1].weight[:3] = 0
    x = torch.randn(7, 3, 2, 2)
    small = shrink(net.eval(), x)
    assert small.removed == {"1": 3}
    assert small.network[3].bias is not None
    assert torch.allclose(net(x), small.network(x), atol=1e-6)


@pytest.mark.parametrize(("padding", "removed"), [(0, 4), (1, 0)])
def test_a_constant_channel_goes_where_nothing_is_padded(padding: int, removed: int) -> None:
    """At a padded border a constant that is not 0 does not add the same as inside, so no bias can stand for it."""
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, padding=padding), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    with torch.no_grad():
        net[0].weight[:4] = 0
        net[0].bias[:4] = 1.5
    small = shrink(net.eval(), images(1, 8))
    assert small.removed.get("0", 0) == removed
    assert torch.allclose(net(images(4, 8)), small.network(images(4, 8)), atol=1e-6)


def test_removal_goes_on_until_nothing_is_dead() -> None:
    """A unit that only dead units read is dead, too."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        net[5].weight[:, :4] = 0
        net[3].weight[4:, :5] = 0
    small = shrink(net.eval(), torch.rand(1, 3, 2, 2))
    assert small.removed == {"1": 5, "3": 4}


ACTIVATIONS = [
    nn.ReLU(),
    nn.ReLU6(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardtanh(),
    nn.GELU(),
    nn.SiLU(),
    nn.ELU(),
    nn.LeakyReLU(),
]
POOLS = [nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(2)]


@pytest.mark.parametrize("middle", [*ACTIVATIONS, *POOLS], ids=lambda module: type(module).__name__)
def test_what_depends_on_the_images_is_never_taken_for_constant(middle: nn.Module) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), middle, nn.Conv2d(4, 2, 1), nn.Flatten(), nn.LazyLinear(2)).eval()
    net(images(1, 8))
    with torch.no_grad():
        net[0].weight[0] = 0
    assert inputs(net, images(1, 8))["2"].foldable.tolist() == [not isinstance(middle, nn.AvgPool2d), False, False, False]


def test_a_network_that_the_graph_does_not_take_is_left_whole_and_named() -> None:
    from torchvision import models

    net = models.shufflenet_v2_x0_5(num_classes=6).eval()
    small = shrink(net, images(1, 64))
    assert not small.removed
    assert "graph does not take ShuffleNetV2" in small.left["network"]
