"""Paths: all weights of a dense network, and exactly those on which the output of a random network depends."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer
from torchvision.ops import SqueezeExcitation

from lth.pruning import flow
from lth.pruning import masks as M

QKV = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


def dense(net: nn.Module) -> M.Masks:
    """Of every weight that is multiplied, those of attention's projections included."""
    params, layers = dict(net.named_parameters()), set(M.prunable(net))
    return M.dense({name: p for name, p in params.items() if name in layers or name.endswith(QKV)})


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("swin_t", 64), ("swin_v2_t", 64), ("maxvit_t", 224), ("convnext_tiny", 64), ("resnet18", 32), ("densenet121", 64),
        ("mobilenet_v3_small", 64), ("shufflenet_v2_x1_0", 64),
    ],
)  # fmt: skip
def test_every_weight_of_a_dense_network_is_on_a_path(name, size):
    net = models.get_model(name, weights=None)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    assert flow.effective_density(net, dense(net), (3, size, size)) == 1
    assert net.training
    assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items()), "the network is left as it was"


def test_weights_into_and_out_of_a_dead_unit_do_not_count():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = dense(net)
    masks["1.weight"][1] = False  # nothing comes into hidden unit 1
    masks["3.weight"][:, 2] = False  # nothing leaves hidden unit 2
    on_path = flow.on_path(net, masks, (1, 2, 2))
    assert M.kept(on_path) == 4 + 2  # unit 0 alone: its four inputs, its two outputs
    assert M.kept(masks) == 8 + 4
    masks["3.weight"][:] = False
    assert M.kept(flow.on_path(net, masks, (1, 2, 2))) == 0, "a collapsed layer leaves no path"


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
    on_path = flow.on_path(net, masks, (2, 5, 5))
    assert M.kept({"c": on_path["c.weight"]}) == 4
    assert M.kept({"a": on_path["a.weight"]}) == 0


def vit(layers: int = 2) -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(8, 4, layers, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=3)


def test_a_pruned_head_of_a_vision_transformer():
    net = vit()
    masks = dense(net)
    layer = "encoder.layers.encoder_layer_1.self_attention"
    masks[f"{layer}.in_proj_weight"][16:20] = False  # the values of head 0
    on_path = flow.on_path(net, masks, (3, 8, 8))
    assert not on_path[f"{layer}.out_proj.weight"][:, :4].any()
    assert on_path[f"{layer}.out_proj.weight"][:, 4:].all()
    rows = on_path[f"{layer}.in_proj_weight"].all(1).tolist()
    assert rows == ([False] * 4 + [True] * 4) * 3  # queries and keys of head 0 attend to nothing
    assert not on_path[f"{layer}.in_proj_weight"][0:4].any()
    lost = 4 * 8 * 2 + 4 * 8  # rows of queries and keys, columns of out_proj
    assert M.kept(on_path) == M.kept(masks) - lost


def test_a_query_that_no_key_meets_is_on_no_path_and_values_alone_keep_attention_alive():
    net = vit()
    masks = dense(net)
    weight = "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"
    masks[weight][8 + 5] = False  # a key feature of head 1
    on_path = flow.on_path(net, masks, (3, 8, 8))
    assert [row for row, kept in enumerate(on_path[weight].any(1)) if not kept] == [5, 13]
    assert M.kept(on_path) == M.kept(masks) - 8
    masks[weight][:16] = False  # it attends to all alike
    assert M.kept(flow.on_path(net, masks, (3, 8, 8))) == M.kept(masks)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate, self.last = nn.Conv2d(3, 4, 1), SqueezeExcitation(4, 2), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.last(self.gate(self.first(x))).mean((2, 3))


def test_a_gate_blocks_nothing_and_a_gate_of_nothing_does_not_count():
    net = Gated()
    masks = dense(net)
    masks["gate.fc2.weight"][0] = False  # channel 0 is scaled by 0.5
    masks["first.weight"][1] = False  # channel 1 is empty
    on_path = flow.on_path(net, masks, (3, 5, 5))
    assert on_path["last.weight"].flatten(1).tolist() == [[True, False, True, True]] * 2
    assert on_path["gate.fc2.weight"].flatten(1).all(1).tolist() == [False, False, True, True]
    assert on_path["gate.fc1.weight"].flatten(1).tolist() == [[True, False, True, True]] * 2
    assert on_path["first.weight"].flatten(1).all(1).tolist() == [True, False, True, True]


def test_what_is_added_is_no_signal():
    net = vit(3)
    masks = dense(net)
    masks["conv_proj.weight"][:] = False  # all that is left are the class token and the embedding of positions
    nn.init.ones_(net.class_token)
    assert M.kept(flow.on_path(net, masks, (3, 8, 8))) == 0


class Tangled(nn.Module):
    """Smooth and without biases, so that a gradient is 0 by no chance: attention, a gate, groups, a sum, a join."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.up = nn.Conv2d(2, 6, 3, groups=2, bias=False), nn.ConvTranspose2d(6, 4, 2, 2, groups=2, bias=False)
        self.qkv, self.proj = nn.Linear(4, 12, bias=False), nn.Linear(4, 6, bias=False)
        self.attend = nn.MultiheadAttention(6, 2, bias=False, batch_first=True)
        self.cross = nn.MultiheadAttention(6, 3, bias=False, batch_first=True, kdim=4, vdim=4)
        self.mix_in, self.gate, self.last = (
            nn.Parameter(torch.empty(6, 5)),
            nn.Linear(6, 5, bias=False),
            nn.Linear(11, 3, bias=False),
        )

    def forward(self, x):
        x = torch.tanh(self.up(torch.tanh(self.conv(x)))).flatten(2).mT
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 2)).movedim(-3, 0).transpose(-2, -3)
        x = x + F.scaled_dot_product_attention(q, k, v).transpose(-2, -3).flatten(-2)
        y = torch.tanh(self.proj(x))
        y = y + self.attend(y, y, y)[0]
        z = self.cross(y, x, x)[0]
        attention = torch.softmax(torch.einsum("bid,bjd->bij", z, y), -1)
        gated = torch.tanh(torch.einsum("bij,bjd->bid", attention, z) @ self.mix_in) * torch.sigmoid(self.gate(z))
        return self.last(torch.cat([y, gated], -1)).mean(1)


@pytest.mark.parametrize("seed", range(0, 12, 2))
def test_a_weight_is_on_a_path_where_the_output_of_a_random_network_depends_on_it(seed):
    torch.manual_seed(seed)
    net = Tangled().double()
    masks = {name: torch.rand(p.shape) < 0.25 + 0.05 * seed for name, p in net.named_parameters()}
    for p, mask in zip(net.parameters(), masks.values()):
        p.data = torch.randn_like(p) * mask
    grads = torch.autograd.grad(net(torch.randn(64, 2, 4, 4, dtype=torch.float64)).pow(2).sum(), list(net.parameters()))
    on_path = flow.on_path(net, masks, (2, 4, 4))
    for (name, mask), grad in zip(masks.items(), grads):
        assert torch.equal(on_path[name], mask & (grad != 0)), name


def test_padding_ends_no_path():
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, groups=1), nn.ReLU(), nn.Conv2d(3, 3, 5, padding=2, groups=3))
    masks = dense(net)
    for mask in masks.values():
        mask.flatten(2)[..., 1:] = False  # what is left is a corner, which meets padding alone
    assert M.hash_masks(flow.on_path(net, masks, (2, 1, 1))) == M.hash_masks(masks)


def test_a_network_that_cannot_be_followed_gives_no_number(capsys):
    net = Gated()
    net.last.register_module("spare", nn.Linear(2, 2))
    assert flow.effective_density(net, dense(net), (3, 2, 2)) is None

    class Numpy(nn.Linear):
        def forward(self, x):
            return super().forward(torch.from_numpy(x.flatten(1).numpy()))

    net = Numpy(4, 2)
    assert flow.effective_density(net, dense(net), (1, 2, 2)) is None
    unused, raised = capsys.readouterr().err.splitlines()
    assert "of Gated is not known: no path runs through 4 weights of the dense network, in last.spare.weight" in unused
    assert "of Numpy is not known: RuntimeError: " in raised


def test_the_dense_network_is_followed_once_and_each_ticket_anew(monkeypatch):
    net, asked, follow = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2)), [], flow._with_gradient
    monkeypatch.setattr(flow, "_with_gradient", lambda *given: asked.append(M.kept(given[1])) or follow(*given))
    full = dense(net)
    sparse = M.keep_top({name: torch.rand(mask.shape) for name, mask in full.items()}, full, 9)
    for masks in (full, sparse, full, sparse):
        flow.effective_density(net, masks, (1, 2, 2))
    assert asked == [18, 9, 9]
    flow.effective_density(net, {"1.weight": full["1.weight"]}, (1, 2, 2))
    assert asked[3:] == [12], "other weights are another question"
    for _ in range(2):
        assert flow.effective_density(net, full, (1, 3, 3)) is None
    assert len(asked) == 6, "what cannot be followed is asked for again"
