"""The benchmark of Torch-Pruning beside channel tickets: what it compares is of one size."""

import copy

import pytest
import torch

from lth.models.small import conv

pytest.importorskip("torch_pruning", reason="channels need torch-pruning")


@pytest.mark.parametrize("multiple", [1, 8])
def test_the_rival_has_at_most_the_flops_and_the_dense_network_stays(multiple: int) -> None:
    from tests.benchmarks.rival import cost, smaller

    torch.manual_seed(0)
    dense, image = conv(2, 3, 20).eval(), torch.rand(1, 3, 20, 20)
    before, most = copy.deepcopy(dense.state_dict()), cost(dense, image) // 3
    small = smaller(dense, image, most, multiple)
    assert 0.5 * most < cost(small, image) <= most
    assert small(image).shape == (1, 3), "the classes stay"
    assert small.conv1[0].out_channels % multiple == 0
    assert all(torch.equal(t, before[name]) for name, t in dense.state_dict().items())
