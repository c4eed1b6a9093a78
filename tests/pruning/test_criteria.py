"""Scores and the masks that come of them; exact numbers wherever a hand can compute them."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.ops import StochasticDepth

from lth.config import CRITERIA
from lth.errors import NumberError, UsageError
from lth.models.small import simple_cnn
from lth.pruning import criteria
from lth.pruning import masks as M
from lth.pruning.allocation import keeps, total
from lth.pruning.criteria import prune


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, groups=4),
        nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 16, 5),
    )  # fmt: skip


def dense(net: nn.Module) -> M.Masks:
    params = dict(net.named_parameters())
    return M.dense({n: params[n] for n in M.prunable(net, scope="all")})


def inputs(net: nn.Module) -> dict:
    """What ``prune`` passes to criteria."""
    rng = torch.Generator().manual_seed(1)
    batch = torch.randn(6, 3, 8, 8, generator=rng), torch.arange(6) % 5
    return {
        "weights": lambda: dict(net.named_parameters()), "seed": lambda: 3, "network": lambda: net, "batch": lambda: batch,
        "input_shape": lambda: (3, 8, 8),
    }  # fmt: skip


def scores(name: str, net: nn.Module, masks: M.Masks | None = None) -> criteria.Scores:
    third = inputs(net)["input_shape" if name == "synflow" else "batch"]()
    return getattr(criteria, name)(net, third, masks or dense(net))


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("allocation", ["global", "layerwise", "erk"])
def test_three_rounds_keep_exact_numbers_are_nested_and_call_for_an_input_once(name, allocation):
    net, calls = small(), []
    asked = {need: lambda need=need, value=value: calls.append(need) or value() for need, value in inputs(net).items()}
    masks = dense(net)
    for _ in range(3):
        keep = keeps(masks, 0.37, allocation=allocation)
        child = prune(name, masks, keep, **asked)
        assert M.kept(child) == total(keep)
        assert M.regrown(child, masks) == 0
        assert allocation == "global" or M.kept_per_layer(child) == keep
        masks = child
    needs = {"magnitude": ["weights"], "random": ["seed"], "synflow": ["network", "input_shape"]}
    assert calls == needs.get(name, ["network", "batch"]) * 3


def test_a_function_of_a_user_is_a_criterion_and_unknown_names_and_shapes_are_refused():
    net = small()
    masks = dense(net)
    mask = prune(lambda weights, masks: {n: -weights[n].abs() for n in masks}, masks, 100, **inputs(net))
    assert max(net.get_parameter(n)[m].abs().max() for n, m in mask.items()) < 0.1
    with pytest.raises(UsageError, match="criterion=size is not accepted: it takes magnitude, random or a function"):
        prune("size", masks, 100, weights=dict, seed=int)
    with pytest.raises(UsageError, match=r"no floating-point scores of shape \(8, 3, 3, 3\) for 0\.weight"):
        prune(lambda weights, masks: {"0.weight": torch.ones(8)}, masks, 100, weights=dict)


def test_random_is_its_seeds_alone_and_has_no_favourites():
    masks = {"a": torch.ones(200, 300, dtype=torch.bool), "b": torch.ones(40, dtype=torch.bool)}
    one, again, other = (criteria.random(seed, masks) for seed in (5, 5, 6))
    assert all(torch.equal(one[n], again[n]) for n in masks)
    assert not torch.equal(one["a"], other["a"])
    assert one["a"].unique().numel() == 60000  # float32 has 16.8 million values in [0, 1): about 100 ties here
    half = M.keep_top(one, masks, 30020)["a"]
    assert half[:100].float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(criteria.random(5, {"a": half})["a"], one["a"])  # the same draws, whatever is pruned


def test_snip_is_the_gradient_times_the_weight_by_hand():
    net, x, y = nn.Sequential(nn.Linear(2, 2, bias=False)), torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.tensor([0, 1])
    net[0].weight.data = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    masks = dense(net)
    masks["0.weight"][0, 1] = False
    w = net[0].weight.detach() * masks["0.weight"]
    by_hand = (w * (((x @ w.T).softmax(1) - F.one_hot(y)).T @ x) / 2).abs()
    snip = criteria.snip(net, (x, y), masks)["0.weight"]
    torch.testing.assert_close(snip, by_hand)
    assert snip[0, 1] == 0
    assert (snip[masks["0.weight"]] > 0.01).all()


def test_grasp_is_a_finite_difference_of_gradients_along_the_gradient():
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 1, 0])
    masks = dense(net)
    masks["0.weight"][1, 2] = masks["2.weight"][0, 0] = False

    def gradient(weights):
        weights = {n: w.clone().requires_grad_() for n, w in weights.items()}
        loss = F.cross_entropy(torch.func.functional_call(net, weights, (x,)) / 200, y)
        return dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))

    start = {n: p.detach() * masks[n] for n, p in net.named_parameters() if n in masks}
    g = {n: grad * masks[n] for n, grad in gradient(start).items()}
    ahead, behind = (gradient({n: start[n] + step * g[n] for n in g}) for step in (1.0, -1.0))
    grasp = criteria.grasp(net, (x, y), masks)
    for n in masks:
        torch.testing.assert_close(grasp[n], start[n] * (ahead[n] - behind[n]) / 2, rtol=1e-4, atol=1e-12)
        assert (grasp[n] < 0).any()
        assert (grasp[n] > 0).any()


def chain() -> nn.Sequential:
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.GELU(), nn.Conv2d(6, 12, 3, stride=2, groups=3, bias=False),
        nn.ReLU6(inplace=True), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12, 9), nn.Hardswish(inplace=True), nn.Linear(9, 4),
    )  # fmt: skip


def test_synflow_is_conserved_from_layer_to_layer():
    net = chain()
    net[1].running_mean.fill_(3.0)
    net[1].running_var.uniform_(0.5, 2)
    net[1].weight.data.uniform_(-2, 2)
    net[1].bias.data.fill_(-5.0)

    def sums(masks):
        return torch.stack([s.sum() for s in criteria.synflow(net, (3, 7, 7), masks).values()])

    flow = sums(dense(net))
    assert flow.dtype == torch.float64
    masks = M.keep_top(criteria.synflow(net, (3, 7, 7), dense(net)), dense(net), 100)
    for each in (flow, sums(masks)):
        torch.testing.assert_close(each, each[:1].expand(4), rtol=1e-12, atol=0)
    net[0].weight.data.mul_(1024)  # a ReLU6 that clipped would hold it down
    torch.testing.assert_close(sums(dense(net)), 1024 * flow)


def test_synflow_by_hand_with_the_scale_of_batch_norm():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, eps=0), nn.ReLU(), nn.Flatten(), nn.Linear(2, 1))
    net[0].weight.data = torch.tensor([-2.0, 3.0]).view(2, 1, 1, 1)
    net[1].weight.data, net[1].running_var = torch.tensor([-0.5, 1.0]), torch.tensor([4.0, 1.0])
    net[4].weight.data = torch.tensor([[7.0, -11.0]])
    flow = criteria.synflow(net, (1, 1, 1), dense(net))
    assert flow["0.weight"].flatten().tolist() == flow["4.weight"].flatten().tolist() == [2 * 0.25 * 7, 33.0]


def deep(layers: int = 8, width: int = 100) -> tuple[nn.Sequential, M.Masks]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU())
    for _ in range(layers):
        net += nn.Sequential(nn.Linear(width, width), nn.ReLU())
    net.append(nn.Linear(width, 3))
    for i in (7, 9):  # two layers of smaller weights, as wide layers have
        net[i].weight.data.mul_(0.05)
    return net, dense(net)


def test_iterative_synflow_collapses_no_layer_where_magnitude_and_a_single_step_do():
    net, masks = deep()
    keep = M.kept_after(M.size(masks), 0.999)
    known = inputs(net) | {"input_shape": lambda: (1, 4, 4)}
    iterative = prune("synflow", masks, keep, **known)
    assert M.kept(iterative) == keep == 82
    assert min(M.per_layer(iterative).values()) > 0
    assert criteria.synflow(net, (1, 4, 4), iterative)["1.weight"].sum() > 0  # and a path runs through them
    once = M.keep_top(criteria.synflow(net, (1, 4, 4), masks), masks, keep)
    for collapsed in (prune("magnitude", masks, keep, **known), once):
        assert min(M.per_layer(collapsed).values()) == 0


def test_a_deep_networks_flow_past_float32_is_ranked_and_past_float64_refused():
    net, masks = deep(layers=24)
    for p in net.parameters():
        p.data.mul_(0.001)
    flow = criteria.synflow(net, (1, 4, 4), masks)
    assert 0 < max(s.max() for s in flow.values()) < 1e-46  # float32 ends at 1.4e-45
    kept = M.keep_top(flow, masks, 1000)
    ranked = torch.cat([s.flatten() for s in flow.values()]).sort(descending=True).values
    assert min(flow[n][m].min() for n, m in kept.items() if m.any()) == ranked[999]
    for p in net.parameters():
        p.data.fill_(1e38)
    with pytest.raises(NumberError, match="large weights"):
        criteria.synflow(net, (1, 4, 4), masks)


@pytest.mark.parametrize("keep", [100, 0, {"0.weight": 20, "3.weight": 0, "8.weight": 33}])
def test_synflow_prunes_in_steps_by_a_constant_factor_and_ends_exactly(monkeypatch, keep):
    seen, masks = [], dense(small())
    monkeypatch.setattr(criteria, "synflow", lambda masks: seen.append(masks) or {n: t.double() for n, t in masks.items()})
    monkeypatch.setitem(criteria.STEPS, "synflow", 5)
    seen.append(prune("synflow", masks, keep))
    counts = [M.kept(m) for m in seen]
    assert (counts[0], counts[-1]) == (1000, total(keep))  # 216 + 144 + 640
    if keep == 100:
        assert counts == [1000, 631, 398, 251, 158, 100]
    if isinstance(keep, dict):
        assert [int(m["8.weight"].sum()) for m in seen] == [640, 354, 195, 108, 60, 33]
        assert M.kept_per_layer(seen[-1]) == keep
    assert all(M.regrown(b, a) == 0 for a, b in itertools.pairwise(seen))


def test_a_softmax_ends_the_synaptic_flow_and_grasp_goes_through_it():
    net = VisionTransformer(16, 4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=8)
    with pytest.raises(NumberError, match="no synaptic flow through a softmax, as attention has"):
        criteria.synflow(net, (3, 16, 16), dense(net))
    grasp = criteria.grasp(net, (torch.randn(2, 3, 16, 16), torch.tensor([0, 1])), dense(net))
    assert sum(int(s.count_nonzero()) for s in grasp.values()) > 500


@pytest.mark.parametrize("activation", [nn.ReLU, nn.LeakyReLU, nn.SiLU, nn.Hardswish, nn.SELU, nn.Hardsigmoid])
def test_in_place_activations_score_as_others_do(activation):
    nets = [small(), small()]
    for net, inplace in zip(nets, (True, False)):
        net[2], net[5] = activation(inplace=inplace), activation(inplace=inplace)
    for name in ("snip", "grasp", "synflow"):
        one, other = (scores(name, net) for net in nets)
        for weight in one:
            torch.testing.assert_close(one[weight], other[weight])
            assert one[weight].count_nonzero() > 0


class Dropping(nn.Module):
    """Draws random numbers in four ways, in train mode."""

    def __init__(self):
        super().__init__()
        self.net, self.depth = small(), StochasticDepth(0.5, "row")
        self.cnn = simple_cnn(5, 8, dropout=0.5)

    def forward(self, x):
        return self.depth(self.net(x)) + self.cnn(x) + F.dropout(x, 0.5).sum((1, 2, 3))[:, None] * 0


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_the_network_and_the_random_state_are_left_to_the_bit(name, training):
    net = Dropping().train(training)
    net.net[1].eval()
    net.net[0].requires_grad_(False)
    net(inputs(net)["batch"]()[0]).sum().backward()
    masks = M.keep_top(criteria.random(0, dense(net)), dense(net), 2000)

    def everything():
        grads = [p.grad if p.grad is None else p.grad.tolist() for p in net.parameters()]
        modules = [(m.training, "forward" in vars(m), len(m._forward_hooks)) for m in net.modules()]
        return (
            [t.numpy().tobytes() for t in net.state_dict().values()], grads, modules, torch.get_rng_state().tolist(),
            [(p.requires_grad, p._version) for p in net.parameters()],
        )  # fmt: skip

    before = copy.deepcopy(everything())
    with torch.no_grad():
        result = scores(name, net, masks)
    assert everything() == before
    assert all(result[n].shape == m.shape and not result[n].requires_grad for n, m in masks.items())
    assert all((result[n][~m] == 0).all() for n, m in masks.items())


@pytest.mark.parametrize("name", ["snip", "grasp", "synflow"])
def test_scores_depend_on_the_kept_weights_alone(name):
    """Not on dropout, on which weights are frozen, or on the values of pruned weights; an unused parameter scores zero."""
    net, masks = small(), M.keep_top(criteria.random(1, dense(small())), dense(small()), 400)
    expected = scores(name, net, masks)
    assert all(s.count_nonzero() > 0.3 * masks[n].sum() for n, s in expected.items())
    torch.manual_seed(99)
    net.requires_grad_(False)
    for n, mask in masks.items():
        net.get_parameter(n)[~mask] = 50.0
    net[8].register_module("spare", nn.Linear(2, 3))
    result = scores(name, net, masks | {"8.spare.weight": torch.ones(3, 2, dtype=torch.bool)})
    assert all(torch.equal(result[n], expected[n]) for n in masks)
    assert result["8.spare.weight"].tolist() == [[0.0, 0.0]] * 3


def test_batch_norm_keeps_the_mode_it_has():
    net = small()
    net[1].running_var.fill_(9.0)
    train = scores("snip", net)["0.weight"]
    assert not torch.allclose(train, scores("snip", net.eval())["0.weight"], rtol=0.1)
