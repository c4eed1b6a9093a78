"""The line between two copies, its barrier, and BatchNorm's statistics on the way."""

import csv
import math
from pathlib import Path

import pytest
import torch

from lth.data.module import ImageData
from lth.data.split import prepare
from lth.models.build import build
from lth.models.classifier import Classifier
from lth.training import connectivity
from lth.training.search import search
from lth.tree import files


@pytest.fixture
def parts(make_config):
    config = make_config(model="resnet20", rounds=0)
    splits = prepare(config.data)
    torch.manual_seed(0)
    return Classifier(build(config, 3), config.optim, 3), ImageData(splits, 16, 0)


def test_the_barrier_is_the_largest_error_over_the_mean_of_both_ends():
    assert connectivity.barrier([0.1, 0.5, 0.2]) == pytest.approx(0.35)
    assert connectivity.barrier([0.2, 0.1, 0.2]) == 0
    assert connectivity.barrier([0.1, 0.1, 0.3]) == pytest.approx(0.1)


def test_between_is_a_straight_line_and_keeps_zeros():
    one = {"w": torch.tensor([1.0, 0.0, 3.0]), "count": torch.tensor(5)}
    other = {"w": torch.tensor([3.0, 0.0, -1.0]), "count": torch.tensor(7)}
    middle = connectivity.between(one, other, 0.25)
    assert middle["w"].tolist() == [1.5, 0.0, 2.0]
    assert middle["count"] == 7
    assert connectivity.between(one, other, 0)["w"].equal(one["w"])
    assert connectivity.between(one, other, 1)["w"].equal(other["w"])


def test_a_network_and_itself_have_no_barrier_and_a_mirrored_one_has(parts):
    model, data = parts
    one = {n: t.clone() for n, t in model.net.state_dict().items()}
    found = connectivity.line(model.net, data, one, one)
    assert found["barrier"] == 0
    assert found["alphas"][0] == 0
    assert found["alphas"][-1] == 1
    assert len(found["errors"]) == connectivity.STEPS


def test_statistics_are_those_of_the_training_images(parts):
    model, data = parts
    norm = next(m for m in model.net.modules() if isinstance(m, torch.nn.BatchNorm2d))
    norm.running_mean.fill_(77)
    momentum = norm.momentum
    seen = []
    handle = norm.register_forward_pre_hook(lambda module, args: seen.append(args[0].detach()))
    connectivity.estimate(model.net, connectivity.trained_norms(model.net), data)
    handle.remove()
    batches = torch.stack([x.mean((0, 2, 3)) for x in seen])
    assert torch.allclose(norm.running_mean, batches.mean(0), atol=1e-5)
    assert sum(len(x) for x in seen) == len(data.splits.train)
    assert norm.momentum == momentum


def test_frozen_statistics_stay(make_config):
    config = make_config(model="resnet18", rounds=0, finetune="layer4", image_size=32)
    model, data = Classifier(build(config, 3), config.optim, 3), ImageData(prepare(config.data), 16, 0)
    before = model.net.bn1.running_mean.clone()
    trained = model.net.layer4[1].bn2.running_mean.clone()
    connectivity.estimate(model.net, connectivity.trained_norms(model.net), data)
    assert torch.equal(model.net.bn1.running_mean, before)
    assert not torch.equal(model.net.layer4[1].bn2.running_mean, trained)


def test_copies_of_a_round_have_a_barrier_in_their_row(make_config):
    config = make_config(rounds=1, epochs=4)
    config.prune.controls = "order"
    records = search(config, say=lambda line: None)
    copies = [record for record in records if record.control == "order"]
    assert [record.round for record in copies] == [0, 1]
    for copy, original in zip(copies, records):
        assert copy.line["errors"][0] == pytest.approx(1 - original.test_acc, abs=1e-6), "LeNet has no statistics to estimate"
        assert copy.line["errors"][-1] == pytest.approx(1 - copy.test_acc, abs=1e-6)
        assert copy.barrier >= 0
        final = files.read_tensors(Path(config.outputs) / "rounds" / copy.name / "final.safetensors")[0]
        assert all(math.isfinite(t.sum()) for t in final.values())
    rows = list(csv.DictReader((Path(config.outputs) / "results.csv").read_text().splitlines()))
    assert [(row["control"], row["round"], row["barrier"] != "") for row in rows] == [
        ("", "0", False), ("", "1", False), ("order", "0", True), ("order", "1", True),
    ]  # fmt: skip
