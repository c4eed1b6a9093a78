"""What ``python -m tests.benchmarks job`` compares with prunes and rewinds as ``python -m lth.run`` does."""

import pytest
import torch
from torch import nn

from lth.export import card
from lth.models.small import simple_cnn
from tests.benchmarks import others
from tests.benchmarks.job import Job

JOB = Job("simple_cnn", "all", train=1, test=1, size=16, epochs=1, rounds=2)
IMAGES = torch.rand(2, 3, 16, 16)


def disturbed(net: nn.Module) -> None:
    """As training would."""
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))


@pytest.mark.parametrize("way", [others.by_hand, others.in_forward])
def test_a_round_prunes_a_fifth_of_what_is_left_and_starts_from_the_initial_weights(way):
    net = simple_cnn(6, 16)
    initial, counts = [m.weight.detach().clone() for m, _ in others.weights(net)], []
    for one in way(JOB, net):
        one(IMAGES)
        now = [m.weight.detach() for m, _ in others.weights(net)]
        assert all(torch.equal(t, first * (t != 0)) for t, first in zip(now, initial, strict=True))
        counts.append(sum(int((t != 0).sum()) for t in now))
        disturbed(net)
    assert counts == pytest.approx([counts[0], 0.8 * counts[0], 0.64 * counts[0]], abs=4)


def test_torch_pruning_takes_channels_out_and_goes_on_from_the_trained_weights():
    pytest.importorskip("torch_pruning", reason="channels need torch-pruning")
    sizes = [card.parameters(net) for net in others.smaller(JOB, simple_cnn(6, 16)) if net(IMAGES).shape == (2, 6)]
    assert len(sizes) == JOB.rounds + 1
    assert sizes[2] < 0.8 * sizes[1] < 0.64 * sizes[0]
