import torch
from torch import nn

from lth.models import lenet_300_100, simple_cnn
from lth.pruning import flow
from lth.pruning import masks as M


def dense(net: nn.Module) -> M.Masks:
    params = dict(net.named_parameters())
    return M.dense({n: params[n] for n in M.prunable(net)})


def test_every_weight_of_a_dense_network_is_on_a_path():
    for net in (simple_cnn.network(6, 16), lenet_300_100.network(3, 8)):
        masks = dense(net)
        size = 16 if isinstance(net[0][0], nn.Conv2d) else 8
        assert M.kept(flow.on_path(net, masks, (3, size, size))) == M.size(masks)


def test_weights_into_and_out_of_a_dead_unit_do_not_count():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = dense(net)
    masks["1.weight"][1] = False  # nothing comes into hidden unit 1
    masks["3.weight"][:, 2] = False  # nothing leaves hidden unit 2
    found = flow.on_path(net, masks, (1, 2, 2))
    assert M.kept(found) == 4 + 2  # unit 0 alone: its four inputs, its two outputs
    assert M.kept(masks) == 8 + 4


def test_a_skip_connection_keeps_paths_alive_and_magnitudes_do_not_matter():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(2, 2, 3, padding=1, groups=2), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            return self.c(x + torch.relu(self.b(self.a(x)))).mean((2, 3))

    net = Skip()
    nn.init.constant_(net.c.weight, -1e-20)
    masks = dense(net)
    masks["a.weight"][:] = False
    found = flow.on_path(net, masks, (2, 5, 5))
    assert M.kept({"c": found["c.weight"]}) == 4
    assert M.kept({"a": found["a.weight"]}) == 0


def test_a_collapsed_layer_leaves_no_path():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = dense(net)
    masks["3.weight"][:] = False
    assert M.kept(flow.on_path(net, masks, (1, 2, 2))) == 0


def test_the_network_is_left_as_it_was():
    net = simple_cnn.network(3, 16)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    flow.on_path(net, dense(net), (3, 16, 16))
    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
    assert not any(m._forward_hooks for m in net.modules())
