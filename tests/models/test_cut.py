"""A network cut where training begins."""

import pytest
import torch
from torch import nn

from lth.config import Optim
from lth.models import cut
from lth.models.classifier import Classifier
from tests.models.test_models import network

CUTS = [
    ("resnet18", "head", (512,)), ("resnet18", "layer4", (256, 4, 4)), ("densenet121", "head", (1024,)),
    ("densenet121", "denseblock3", (256, 4, 4)), ("efficientnet_lite0", "head", (1280,)),
    ("efficientnet_lite0", "blocks.15", (192, 2, 2)), ("mobilenet_v3_small", "features.11", (96, 2, 2)),
    ("simple_cnn", "fc3", (512,)), ("resnet20", "layer3", (32, 32, 32)), ("conv4", "fc2", (256,)), ("swin_t", "head", (768,)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "finetune", "shape"), CUTS)
def test_a_cut_network_computes_the_same_to_the_bit(name, finetune, shape):
    model = network(name, finetune)
    module, parts = Classifier(model, Optim(), 6), cut.cut(model.net)
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        features = parts.prefix(images)
    assert tuple(features.shape[1:]) == shape
    for prepare in (module.eval, lambda: Classifier(model, Optim(), 6)):  # a new Classifier trains
        prepare()
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


@pytest.mark.parametrize(
    ("make", "last"),
    [
        (lambda: network("resnet18").net, None),
        (lambda: network("resnet18", "conv1").net, None),
        (lambda: network("resnet18", "head", frozen_bn="train").net, "conv1"),  # up to the first BatchNorm that drifts
        (lambda: Noisy(nn.Tanh()), "second"),
        (lambda: Noisy(nn.Dropout()), "first"),
        (lambda: Noisy(Noise()), "first"),
        (lambda: Noisy(lambda x: x + torch.randn_like(x)), "first"),
        (lambda: Noisy(lambda x: x + torch.rand(3)), None),  # the draw would be a constant of the graph
        (lambda: Noisy(lambda x: x if x.sum() > 0 else -x), None),  # torch.fx cannot follow it
    ],
)
def test_a_cut_is_made_before_what_trains_drifts_or_draws(make, last):
    assert getattr(cut.cut(make()), "name", None) == last


def test_the_hash_of_a_prefix_follows_its_weights_and_its_end():
    one, two = network("resnet18", "layer4").net, network("resnet18", "head").net
    hashes = [cut.hash_prefix(cut.cut(net).prefix) for net in (one, two)]
    one.fc.weight.data.add_(1)
    assert cut.hash_prefix(cut.cut(one).prefix) == hashes[0] != hashes[1]
    one.layer1[0].bn1.running_mean[0] += 1
    assert cut.hash_prefix(cut.cut(one).prefix) != hashes[0]


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
    net = Shifted()
    parts = cut.cut(net)
    net.to(torch.float64)
    parts.to(torch.float64)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(parts.suffix(parts.prefix(images)), net(images))
    assert torch.equal(parts.prefix(images), (net.body(images) + net.shift).mean((2, 3)) * net.scale)
