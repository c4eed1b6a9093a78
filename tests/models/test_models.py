"""Networks: their sizes and shapes, the blocks that finetune names, heads, what is not accepted."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

import lth
from lth.config import OWN, Config, Data, Model
from lth.errors import UsageError
from lth.hashes import differing
from lth.models import flops, small
from lth.models.blocks import blocks
from lth.models.build import NETWORKS, Network, build
from lth.pruning import masks as M


def network(name: str, finetune: str = "all", size: int = 64, channels: int = 3, **options) -> Network:
    torch.manual_seed(0)
    return build(Config(model=Model(name, **options), finetune=finetune, data=Data(image_size=size, channels=channels)), 6)


def weights(net: nn.Module, dims: tuple[int, ...] = (2, 4)) -> int:
    return sum(p.numel() for p in net.parameters() if p.dim() in dims)


def spread(layer: nn.Module) -> float:
    return layer.weight.std().item()


def test_simple_cnn_at_128_is_the_previous_studys_network():
    shapes = [tuple(p.shape) for p in small.simple_cnn(6, 128).parameters() if p.dim() > 1]
    assert shapes == [(15, 3, 3, 3), (4, 15, 3, 3), (1024, 4096), (512, 1024), (128, 512), (64, 128), (6, 64)]


def test_lenet_300_100_has_the_papers_size_on_mnist():
    assert weights(small.lenet_300_100(10, 28, channels=1)) == 784 * 300 + 300 * 100 + 100 * 10  # 266,200


@pytest.mark.parametrize(("convolutions", "total", "convolutional"), [(2, 4.3, 0.038), (4, 2.4, 0.26), (6, 2.26, 1.1)])
def test_conv_networks_have_the_papers_sizes_and_initialisation(convolutions, total, convolutional):
    net = small.conv(convolutions, 10, 32)
    assert weights(net) / 1e6 == pytest.approx(total, rel=0.02)
    assert weights(net, (4,)) / 1e6 == pytest.approx(convolutional, rel=0.05)
    assert list(blocks(net)) == [*(f"conv{i + 1}" for i in range(convolutions)), "fc1", "fc2", "head"]
    assert spread(net.conv2[0]) == pytest.approx((2 / (2 * 64 * 9)) ** 0.5, rel=0.05), "Glorot-normal"
    assert not any(p.detach().any() for name, p in net.named_parameters() if name.endswith("bias"))


def test_resnet20_has_the_papers_size_shapes_and_initialisation():
    net = small.resnet20(10)
    assert sum(p.numel() for p in net.parameters()) == 269_722  # 0.27 M in the paper's table 6
    assert len([m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]) == 20
    assert sum(flops.per_layer(net, 32).values()) / 2 == pytest.approx(40.6e6, rel=0.01)
    assert net[:6](torch.zeros(2, 3, 32, 32)).shape == (2, 64, 8, 8)
    assert spread(net.layer3[1].conv1) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05), "Kaiming-normal"
    x = torch.rand(1, 16, 7, 7)
    assert torch.equal(net.layer2[0].downsample(x)[:, :16], x[:, :, ::2, ::2]), "the shortcut skips pixels and adds zeros"
    assert not net.layer2[0].downsample(x)[:, 16:].any()


@pytest.mark.parametrize(("width", "wide"), [(0.5, [8, 16, 32]), (2.0, [32, 64, 128]), (0.01, [1, 1, 1])])
def test_width_multiplies_the_channels_of_resnet20(width, wide):
    net = network("resnet20", size=8, width=width).net
    assert [net.get_submodule(f"layer{i}")[0].conv1.out_channels for i in (1, 2, 3)] == wide
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 6)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize(("channels", "size"), [(1, 17), (3, 8), (3, 40)])
def test_our_networks_take_any_channels_sizes_and_blocks_and_follow_the_seed(name, channels, size):
    whole = network(name, size=size, channels=channels).net
    last = list(blocks(whole))[-2]
    net = network(name, last, size, channels).net
    assert not differing(net.state_dict(), whole.state_dict())
    assert net(torch.zeros(2, channels, size, size)).shape == (2, 6)
    assert {n.split(".")[0] for n, p in net.named_parameters() if p.requires_grad} == {last, "head"}
    assert min(flops.per_layer(net, size, channels).values()) > 0


def test_efficientnet_lite0_has_the_published_size_and_the_keys_of_its_weights():
    net = network("efficientnet_lite0").net
    assert sum(p.numel() for p in net.parameters()) - 1281 * 6 == 4_652_008 - 1281 * 1000
    assert sum(flops.per_layer(net, 224).values()) / 2e9 == pytest.approx(0.39, abs=0.01)
    keys = net.state_dict().keys()
    assert {"_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_blocks.15._bn2.running_var", "_fc.bias"} <= keys


def test_every_network_of_the_table_has_its_yaml_and_its_place_in_the_schema():
    assert set(NETWORKS) == {*OWN, "efficientnet_lite0", "custom"}
    assert set(NETWORKS) <= {path.stem for path in (Path(lth.__file__).parents[1] / "conf" / "model").glob("*.yaml")}


@pytest.mark.parametrize(("name", "shapes"), [("resnet18", [(256, 512), (6, 256)]), ("densenet121", [(512, 1024), (6, 512)])])
def test_heads_are_linear_with_stock_keys_or_those_of_the_previous_study(name, shapes):
    mlp = network(name, head="mlp")
    assert [tuple(p.shape) for p in mlp.net.get_submodule(mlp.head).parameters() if p.dim() == 2] == shapes
    assert set(network(name).net.state_dict()) == set(models.get_model(name, weights=None).state_dict())


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("resnet18", ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "fc"]),
        ("densenet121", ["conv0", "norm0", "denseblock1", "transition1", "denseblock2", "transition2", "denseblock3"]),
        ("efficientnet_lite0", ["conv_stem", "bn0", *[f"blocks.{i}" for i in range(16)], "conv_head", "bn1", "fc"]),
        ("mobilenet_v3_small", [f"features.{i}" for i in range(13)]),
        ("simple_cnn", ["conv1", "conv2", "fc1", "fc2", "fc3", "fc4", "head"]),
    ],
)
def test_blocks_have_the_names_that_people_use(name, some):
    assert list(blocks(network(name).net))[: len(some)] == some


def test_finetune_trains_the_named_blocks_and_the_head():
    model = network("simple_cnn", "fc2+fc4")
    assert {n.split(".")[0] for n, p in model.net.named_parameters() if p.requires_grad} == {"fc2", "fc4", "head"}
    assert model.frozen == tuple(blocks(model.net)[name] for name in ("conv1", "conv2", "fc1", "fc3"))
    with pytest.raises(UsageError, match=r"finetune=layer3.*all, head, conv1, conv2, fc1, fc2, fc3, fc4, joined"):
        network("simple_cnn", "layer3")


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_lite0", "mobilenet_v3_small", "vgg11"])
def test_with_finetune_head_the_head_alone_trains_and_the_same_layers_are_spared(name):
    model = network(name, "head")
    trained = [n for n, p in model.net.named_parameters() if p.requires_grad]
    assert trained == [n for n, _ in model.net.named_parameters() if n.startswith(f"{model.head}.")]
    spared = set(M.prunable(model.net, scope="all")) - set(M.prunable(model.net, spare=[model.head], scope="all"))
    assert spared == set(M.prunable(model.net)), "prune.head=false and finetune=head mean the same layers"


@pytest.mark.parametrize(("name", "reason"), [("resnet19", "it takes one of .*resnet18"), ("squeezenet1_0", "linear")])
def test_a_network_that_is_not_accepted(name, reason):
    with pytest.raises(UsageError, match=rf"model\.name={name} is not accepted: .*{reason}"):
        network(name)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_our_dropout_drops_the_right_share_keeps_the_mean_and_follows_the_seed(p):
    drop, x = small.Dropout(p), torch.ones(64, 15, 30, 30, requires_grad=True)
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(drop(x.to(memory_format=torch.channels_last)))
    out = outputs[0]
    assert torch.equal(out, outputs[1])
    assert not torch.equal(out, outputs[2])
    assert abs(float((out == 0).float().mean()) - p) < 5 * (p * (1 - p) / x.numel()) ** 0.5
    assert set(out.unique().tolist()) == {0.0, float(torch.tensor(1 / (1 - p)))}
    assert float((out == 0).float().mean((1, 2, 3)).std()) < 0.02, "over images"
    out.sum().backward()
    assert torch.equal(x.grad, out.detach()), "gradients pass where values pass"
    assert torch.equal(drop.eval()(x), x)
