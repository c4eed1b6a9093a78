from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lth
from lth.config import OWN, Config, Data, Model
from lth.errors import UsageError
from lth.models import build as models
from lth.models import conv, flops, lenet_300_100, resnet20, simple_cnn
from lth.models.blocks import blocks
from lth.models.simple_cnn import Dropout


@pytest.mark.parametrize("size", [8, 17, 128, 150])
def test_simple_cnn_fits_any_image_size(size):
    assert simple_cnn.network(6, size)(torch.zeros(2, 3, size, size)).shape == (2, 6)


def test_simple_cnn_at_128_is_the_previous_studys_network():
    net = simple_cnn.network(6, 128)
    weights = [tuple(p.shape) for p in net.parameters() if p.dim() > 1]
    assert weights == [(15, 3, 3, 3), (4, 15, 3, 3), (1024, 4096), (512, 1024), (128, 512), (64, 128), (6, 64)]


def test_pooling_before_relu_computes_the_same():
    x = torch.randn(2, 3, 9, 9)
    assert torch.equal(F.relu(F.max_pool2d(x, 2)), F.max_pool2d(F.relu(x), 2))


def test_lenet_300_100_has_the_papers_size_on_mnist():
    net = lenet_300_100.network(10, 28, channels=1)
    assert sum(p.numel() for p in net.parameters() if p.dim() > 1) == 784 * 300 + 300 * 100 + 100 * 10  # 266,200
    assert all(not p.detach().any() for n, p in net.named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize(("convolutions", "total", "convolutional"), [(2, 4.3, 0.038), (4, 2.4, 0.26), (6, 2.26, 1.1)])
def test_conv_networks_have_the_papers_sizes_on_cifar(convolutions, total, convolutional):
    net = conv.network(convolutions, 10, 32)
    assert sum(p.numel() for p in net.parameters() if p.dim() > 1) / 1e6 == pytest.approx(total, rel=0.02)
    assert sum(p.numel() for p in net.parameters() if p.dim() == 4) / 1e6 == pytest.approx(convolutional, rel=0.05)
    assert [n.split(".")[0] for n, _ in net.named_parameters()][::2] == [
        *(f"conv{i + 1}" for i in range(convolutions)), "fc1", "fc2", "head",
    ]  # fmt: skip
    assert all(not p.detach().any() for n, p in net.named_parameters() if n.endswith("bias"))
    spread = net.conv2[0].weight.std().item()
    assert spread == pytest.approx((2 / (2 * 64 * 9)) ** 0.5, rel=0.05), "Glorot-normal"


def test_resnet20_has_the_papers_size_shapes_and_initialisation():
    net = resnet20.network(10)
    assert sum(p.numel() for p in net.parameters()) == 269_722  # 0.27 M in the paper's table 6
    assert len([m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]) == 20
    assert sum(flops.per_layer(net, 32).values()) / 2 == pytest.approx(40.6e6, rel=0.01)
    assert net[:6](torch.zeros(2, 3, 32, 32)).shape == (2, 64, 8, 8)
    spread = net.layer3[1].conv1.weight.std().item()
    assert spread == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05), "Kaiming-normal"


def test_the_shortcut_of_resnet20_skips_pixels_and_adds_zeros():
    block = resnet20.Block(2, 4, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 2, 7, 7)
    out = block(x)
    assert torch.equal(out[:, :2], x[:, :, ::2, ::2])
    assert not out[:, 2:].detach().any()


@pytest.mark.parametrize(("width", "wide"), [(0.5, [8, 16, 32]), (2.0, [32, 64, 128]), (0.01, [1, 1, 1])])
def test_width_multiplies_the_channels_of_resnet20(width, wide):
    net = resnet20.network(10, width)
    assert [net.get_submodule(f"layer{i}")[0].conv1.out_channels for i in (1, 2, 3)] == wide
    assert net(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("channels", [1, 3])
def test_our_networks_take_any_channels_sizes_and_blocks(name, channels):
    data = Data(image_size=17, channels=channels)
    last = list(blocks(models.build(Config(data=data, model=Model(name)), 5).net))[-2]
    model = models.build(Config(data=data, model=Model(name), finetune=last), 5)
    assert model.net(torch.zeros(2, channels, 17, 17)).shape == (2, 5)
    assert {n.split(".")[0] for n, p in model.net.named_parameters() if p.requires_grad} == {last, "head"}
    counted = flops.per_layer(model.net, 17, channels)
    assert min(counted.values()) > 0
    first = next(iter(model.net.parameters()))
    assert counted[next(iter(counted))] % (2 * first[0].numel()) == 0


def test_every_network_of_the_table_has_its_yaml_and_its_place_in_the_schema():
    assert set(models.NETWORKS) == {*OWN, "efficientnet_lite0", "custom"}
    assert set(models.NETWORKS) <= {path.stem for path in (Path(lth.__file__).parents[1] / "conf" / "model").glob("*.yaml")}


def test_the_same_seed_builds_the_same_network():
    config = Config(data=Data(image_size=16))
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(torch.cat([p.flatten() for p in models.build(config, 6).net.parameters()]))
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])


def test_finetune_trains_the_named_blocks_and_the_head():
    config = Config(data=Data(image_size=16), finetune="fc2+fc4")
    net = models.build(config, 6).net
    trained = {name.split(".")[0] for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {"fc2", "fc4", "head"}


def test_an_unknown_block_is_named_with_the_right_ones():
    with pytest.raises(UsageError, match=r"finetune=layer3.*all, head, conv1, conv2, fc1, fc2, fc3, fc4, joined"):
        models.build(Config(data=Data(image_size=16), finetune="layer3"), 6)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_our_dropout_drops_the_right_share_keeps_the_mean_and_follows_the_seed(p):
    x = torch.ones(64, 15, 30, 30).to(memory_format=torch.channels_last)
    drop = Dropout(p)
    torch.manual_seed(5)
    a = drop(x)
    torch.manual_seed(5)
    assert torch.equal(a, drop(x))
    assert not torch.equal(a, drop(x))
    n = x.numel()
    assert abs(float((a == 0).float().mean()) - p) < 5 * (p * (1 - p) / n) ** 0.5
    assert set(a.unique().tolist()) == {0.0, float(torch.tensor(1 / (1 - p)))}
    per_image = (a == 0).float().mean((1, 2, 3))
    assert float(per_image.std()) < 0.02
    assert torch.equal(drop.eval()(x), x)


def test_our_dropout_passes_gradients_where_it_passes_values():
    x = torch.ones(4, 3, 5, 5, requires_grad=True)
    out = Dropout(0.5)(x)
    out.sum().backward()
    assert torch.equal(x.grad, out.detach())
