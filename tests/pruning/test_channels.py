"""Channels that are removed together: groups, magnitudes, exact counts, masks."""

import pytest
import torch
from torch import nn
from torchvision import models

from lth.errors import DataError, UsageError
from lth.pruning import channels as C
from lth.pruning.coupling import coupled
from tests.export.networks import NETWORKS, images, network

pytest.importorskip("torch_pruning", reason="channels need torch-pruning")


def _dense(net: nn.Module) -> dict[str, torch.Tensor]:
    layers = [name for name, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    return {f"{name}.weight": torch.ones_like(net.get_submodule(name).weight, dtype=torch.bool) for name in layers}


@pytest.mark.parametrize("name", NETWORKS)
def test_masks_remove_the_channels_that_they_are_asked_to_and_no_other(name: str) -> None:
    net, draws = network(name), torch.Generator().manual_seed(2)
    groups, _ = coupled(net, images(1))
    assert C.from_json(C.to_json(groups)) == groups
    keep = [torch.rand(group.channels, generator=draws) < 0.6 for group in groups]
    for one in keep:
        one[0] = True
    masks = C.masks(groups, keep, _dense(net))
    assert all(map(torch.equal, C.kept(groups, masks), keep))
    fewer = [one & (torch.rand(len(one), generator=draws) < 0.7) for one in keep]
    nested = C.masks(groups, fewer, masks)
    assert not any((nested[n] & ~masks[n]).any() for n in masks)


@pytest.mark.parametrize("name", ["densenet121", "resnet20", "own"])
def test_channels_that_nothing_reads_have_no_effect(name: str) -> None:
    """What a removed channel holds, its bias and BatchNorm included, must not reach an output."""
    net = network(name)
    groups, refused = coupled(net, images(1))
    assert (name == "resnet20") == bool(refused)  # its shortcut pads channels, which no graph of groups can express
    keep = [torch.arange(group.channels) % 2 == 0 for group in groups]
    masks = C.masks(groups, keep, _dense(net))
    params = dict(net.named_parameters())
    with torch.no_grad():
        for weight, mask in masks.items():
            params[weight].mul_(mask)
        before = net(images())
        for group, one in zip(groups, keep):
            for part in group.slices:
                bias = params.get(f"{part.module}.bias")
                if part.side == "out" and bias is not None:
                    bias[~group.spread(part, one, True)] = 7.0
        assert torch.equal(net(images()), before)


def test_the_network_is_as_it_was() -> None:
    net = network("resnet18").train()
    net.fc.requires_grad_(False)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    coupled(net, images(1))
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert net.training
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["fc.weight", "fc.bias"]


def test_exact_count_one_of_each_group_and_ties_by_position() -> None:
    scores = [torch.tensor([1.0, 1.0, 1.0]), torch.tensor([0.0, 0.0]), torch.tensor([5.0, 4.0, 3.0, 2.0])]
    alive = [torch.ones(len(s), dtype=torch.bool) for s in scores]
    keep = C.keep_best(scores, alive, 6)
    assert [one.tolist() for one in keep] == [[True, False, False], [True, False], [True] * 4]
    assert C.count(C.keep_best(scores, alive, 7)) == 7
    with pytest.raises(ValueError, match="cannot keep -1"):
        C.keep_best(scores, alive, 2)
    each = C.keep_best(scores, alive, [2, 1, 3])
    assert [int(one.sum()) for one in each] == [2, 1, 3]


def test_a_budget_keeps_as_many_as_fit() -> None:
    scores = [torch.arange(10.0), torch.arange(10.0)]
    alive = [torch.ones(10, dtype=torch.bool)] * 2
    keep = C.within_budget(scores, alive, lambda keep: int(keep[0].sum()) * int(keep[1].sum()) <= 30)
    assert C.count(keep) == 11  # 6 and 5
    with pytest.raises(ValueError, match="one channel of each group"):
        C.within_budget(scores, alive, lambda keep: False)


def test_magnitude_is_the_mean_over_places_and_scale_free_between_groups() -> None:
    weights = {"0.weight": torch.tensor([[3.0, 4.0], [1.0, 0.0]]), "2.weight": torch.tensor([[1.0, 2.0]] * 3)}
    group = C.Group(2, (C.Slice("0", "out", 0, 2, 0, 1, 2), C.Slice("2", "in", 0, 2, 0, 1, 2)))
    means = torch.tensor([(25 + 3) / 2, (1 + 12) / 2])
    assert torch.allclose(C.magnitudes([group], weights)[0], means / means.mean())


def test_random_channels_are_as_many_in_each_group() -> None:
    keep = [torch.arange(20) < 7, torch.arange(5) < 5]
    drawn = C.random_keep(keep, 3)
    assert [int(one.sum()) for one in drawn] == [7, 5]
    assert not torch.equal(drawn[0], keep[0])
    assert all(map(torch.equal, C.random_keep(keep, 3), drawn))


class Mixer(nn.Module):
    """Linear layers over pixels, which no channel of the convolution is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.mix = nn.Conv2d(3, 8, 2, 2), nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 16))
        self.up, self.head = nn.ConvTranspose2d(8, 8, 2, 2), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mix(self.conv(x).flatten(2)).unflatten(2, (4, 4))
        return self.head(self.up(x).mean((2, 3)))


def test_channels_that_meet_other_kinds_of_layers_are_left_whole():
    groups, refused = coupled(Mixer().eval(), images(1, 8))
    assert {part.module for group in groups for part in group.slices} <= {"mix.0", "mix.2"}
    assert refused


def test_survivors_are_ranked_by_the_mean_of_survivors():
    """A group that lost channels before is neither favoured nor put at a disadvantage."""
    weights = {"a.weight": torch.ones(8, 4), "b.weight": torch.ones(8, 4)}
    groups = [C.Group(8, (C.Slice(name, "out", 0, 8, 0, 1, 8),)) for name in ("a", "b")]
    weights["a.weight"][2:] = 0
    scores = C.magnitudes(groups, weights, [torch.arange(8) < 2, torch.ones(8, dtype=torch.bool)])
    assert scores[0][:2].tolist() == [1, 1]
    assert scores[1].tolist() == [1] * 8


@pytest.mark.parametrize("name", ["swin_t", "shufflenet_v2_x0_5"])
def test_a_network_that_the_graph_does_not_take_is_named_in_one_sentence(name: str) -> None:
    net = models.get_model(name, num_classes=6)
    with pytest.raises(DataError, match=f"graph does not take {type(net).__name__}"):
        coupled(net, images(1, 64))


@pytest.mark.parametrize("layerwise", [False, True])
def test_a_round_removes_exactly_its_rate_of_the_channels_and_keeps_them_nested(layerwise: bool) -> None:
    net = network("resnet18")
    groups, _ = coupled(net, images(1))
    before, left = _dense(net), [group.channels for group in groups]
    for _ in range(3):
        masks = C.prune(groups, before, C.magnitudes(groups, net.state_dict()), 0.2, layerwise=layerwise)
        left = [n - round(0.2 * n) for n in left] if layerwise else [sum(left) - round(0.2 * sum(left))]
        keep = C.kept(groups, masks)
        assert [int(one.sum()) for one in keep] == left if layerwise else C.count(keep) == left[0]
        assert not any((masks[n] & ~before[n]).any() for n in masks)
        before = masks
    once = C.prune(groups, _dense(net), C.magnitudes(groups, net.state_dict()), 0.2, 3)
    assert layerwise or C.count(C.kept(groups, once)) == left[0]
    with pytest.raises(UsageError, match=r"prune.rate=0.999 is not accepted"):
        C.prune(groups, before, C.magnitudes(groups, net.state_dict()), 0.999)


def test_a_budget_of_flops_is_met_as_closely_as_channels_allow() -> None:
    net = network("conv2")
    groups, _ = coupled(net, images(1))
    scores, dense = C.magnitudes(groups, net.state_dict()), _dense(net)

    def flops(masks: dict[str, torch.Tensor]) -> float:
        return sum(float(mask.sum()) for mask in masks.values())

    masks = C.prune(groups, dense, scores, 0.5, flops=flops)
    assert 0.45 * flops(dense) < flops(masks) <= 0.5 * flops(dense)
    one_more = C.keep_best(scores, C.kept(groups, dense), C.count(C.kept(groups, masks)) + 1)
    assert flops(C.masks(groups, one_more, dense)) > 0.5 * flops(dense)
