"""Sparse linear layers: the same products, in a program that torch.export writes, only where they were faster."""

from pathlib import Path

import pytest
import torch
from torch import nn

from lth.export import latency, programs, sparse
from lth.export.csr import SparseLinear


@pytest.mark.parametrize("bias", [True, False])
def test_the_same_products(bias: bool) -> None:
    layer = nn.Linear(300, 70, bias=bias)
    with torch.no_grad():
        layer.weight.mul_(torch.rand_like(layer.weight) < 0.05)
    for batch in (1, 7):
        x = torch.randn(batch, 300)
        assert torch.allclose(SparseLinear(layer)(x), layer(x), atol=1e-5)


def _net() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 128), nn.ReLU(), nn.Linear(128, 5))
    with torch.no_grad():
        net[1].weight.mul_(torch.rand_like(net[1].weight) < 0.02)
    return net.eval()


@pytest.mark.parametrize(("ratio", "exchanged"), [(0.5, True), (1.5, False)])
def test_a_layer_is_exchanged_where_it_was_faster(
    ratio: float, exchanged: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(latency, "medians", lambda calls, seconds: {"dense": 1.0, "sparse": ratio})
    net = _net()
    other, tried = sparse.sparsify(net, torch.rand(2, 3, 16, 16))
    assert [(row["layer"], row["sparse"]) for row in tried] == [("1", exchanged)]
    assert isinstance(other[1], SparseLinear) == exchanged
    assert type(net[1]) is nn.Linear
    exported = programs.to_pt2(tmp_path / "m.pt2", programs.Deployed(other, [0.5] * 3, [0.2] * 3), (3, 16, 16))
    images = torch.rand(4, 3, 16, 16)
    assert torch.allclose(exported(images), net((images - 0.5) / 0.2), atol=1e-4)


def test_a_layer_over_tokens_is_not_tried_and_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "medians", lambda calls, seconds: {"dense": 1.0, "sparse": 0.5})
    net = nn.Sequential(nn.Unflatten(1, (4, 300)), nn.Linear(300, 300), nn.Flatten())
    with torch.no_grad():
        net[1].weight.mul_(torch.rand_like(net[1].weight) < 0.05)
    assert sparse.sparsify(net, torch.rand(2, 1200))[1] == []
    x = torch.rand(2, 4, 300)
    assert torch.allclose(SparseLinear(net[1])(x), net[1](x), atol=1e-5)


def test_dense_and_small_layers_are_not_tried() -> None:
    assert sparse.sparsify(nn.Sequential(nn.Linear(400, 400), nn.Linear(400, 20)), torch.rand(2, 400))[1] == []


def test_medians_are_of_calls_in_turn() -> None:
    order: list[str] = []
    times = latency.medians({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, seconds=0, least=3)
    assert order == ["a", "b"] * 4
    assert times.keys() == {"a", "b"}
