"""Scores are computed on a copy: what they leave alone, and what changes nothing in them."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import StochasticDepth

from lth.models import simple_cnn
from lth.pruning import criteria
from lth.pruning import masks as M
from tests.pruning.scoring import batch, dense, scorers, small


class Dropping(nn.Module):
    """Draws random numbers in four ways, in train mode."""

    def __init__(self):
        super().__init__()
        self.net, self.depth = small(), StochasticDepth(0.5, "row")
        self.own = simple_cnn.network(5, 8, dropout=0.5)

    def forward(self, x):
        return self.depth(self.net(x)) + self.own(x) + F.dropout(x, 0.5).sum((1, 2, 3))[:, None] * 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_the_network_and_the_random_state_are_left_to_the_bit(name, training):
    net = Dropping().train(training)
    net.net[1].eval()
    net.net[0].requires_grad_(False)
    net(batch()[0]).sum().backward()
    masks = M.keep_top(criteria.random(dense(net), 0), dense(net), 2000)
    state = copy.deepcopy(net.state_dict())
    grads = {n: None if p.grad is None else p.grad.clone() for n, p in net.named_parameters()}
    modes, trained = [m.training for m in net.modules()], [p.requires_grad for p in net.parameters()]
    versions = [t._version for t in net.state_dict().values()]
    rng = torch.get_rng_state()
    with torch.no_grad():
        scores = scorers(net)[name](masks)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(t.numpy().tobytes() == state[n].numpy().tobytes() for n, t in net.state_dict().items())
    assert [t._version for t in net.state_dict().values()] == versions
    assert all(p.grad is None if grads[n] is None else torch.equal(p.grad, grads[n]) for n, p in net.named_parameters())
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == trained
    assert not any("forward" in vars(m) or m._forward_hooks for m in net.modules())
    assert all(scores[n].shape == m.shape and not scores[n].requires_grad for n, m in masks.items())
    assert all((scores[n][~m] == 0).all() for n, m in masks.items())


@pytest.mark.parametrize("name", ["snip", "grasp"])
def test_dropout_and_the_random_state_change_no_score(name):
    net = small()
    first = scorers(net)[name](dense(net))
    torch.manual_seed(99)
    second = scorers(net)[name](dense(net))
    assert all(torch.equal(first[n], second[n]) for n in first)


def test_batch_norm_keeps_the_mode_it_has():
    net = small()
    net[1].running_var.fill_(9.0)
    train = scorers(net)["snip"](dense(net))["0.weight"]
    assert not torch.allclose(train, scorers(net.eval())["snip"](dense(net))["0.weight"], rtol=0.1)


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_frozen_weights_are_scored_as_trained_ones_are(name):
    net = small()
    trained = scorers(net)[name](dense(net))
    net.requires_grad_(False)
    frozen = scorers(net)[name](dense(net))
    for weight, scores in frozen.items():
        assert torch.equal(scores, trained[weight])
        assert scores.count_nonzero() > 0.5 * scores.numel()


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_pruned_weights_do_not_count(name):
    """A network with pruned weights of any value scores as one in which they are zeros."""
    net, masks = small(), M.keep_top(criteria.random(dense(small()), 1), dense(small()), 400)
    zeros = small()
    with torch.no_grad():
        for n, mask in masks.items():
            dict(net.named_parameters())[n][~mask] = 50.0
            dict(zeros.named_parameters())[n][~mask] = 0.0
    a, b = scorers(net)[name](masks), scorers(zeros)[name](masks)
    assert all(torch.equal(a[n], b[n]) for n in masks)


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_a_parameter_that_is_not_used_scores_zero(name):
    net = small()
    net[8].register_module("spare", nn.Linear(2, 3))
    scores = scorers(net)[name](dense(net))
    assert scores["8.spare.weight"].tolist() == [[0.0, 0.0]] * 3
    assert scores["8.weight"].count_nonzero() > 100
