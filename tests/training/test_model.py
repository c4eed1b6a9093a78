"""A copied round folder is complete in itself: the trained network, its ticket, its configuration."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file

import lth
from lth.errors import DataError
from lth.training.search import search


@pytest.mark.parametrize("model", ["simple_cnn", "resnet20"])
def test_a_copied_folder_gives_the_network_and_the_ticket(make_config, tmp_path, model):
    config = make_config(rounds=1, model=model)
    record = search(config, say=lambda line: None)[1]
    copy = shutil.copytree(Path(config.outputs) / "rounds" / record.name, tmp_path / "copy")
    shutil.rmtree(config.outputs)
    net = lth.load_model(copy)
    assert type(net).__module__.startswith(("torch", "lth.models"))
    assert not net.training
    assert (net.classes, net.image_size) == (["across", "down", "plain"], 20)
    assert net(torch.rand(5, 3, 20, 20)).shape == (5, 3)
    for name, tensor in load_file(copy / "final.safetensors").items():
        assert torch.equal(net.state_dict()[name], tensor), name
    ticket = lth.load_ticket(copy)
    assert ticket.density == pytest.approx(0.8, abs=1e-3)
    assert all(torch.equal(net.get_parameter(n)[~m], torch.zeros(int((~m).sum()))) for n, m in ticket.masks.items())
    settings = (copy / "config.yaml").read_text()
    assert "epochs: 2" in settings
    assert f"name: {model}" in settings


def test_the_network_predicts_what_the_round_predicted(make_config):
    config = make_config(rounds=0, model="resnet20", epochs=3)
    [record] = search(config, say=lambda line: None)
    folder = Path(config.outputs) / "rounds" / record.name
    net = lth.load_model(folder)
    from lth.data.split import prepare

    splits = prepare(config.data)
    images = torch.from_numpy(splits.test_images.take(splits.test)).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (net.mean, net.std))
    with torch.no_grad():
        predicted = net((images - mean) / std).argmax(1).numpy()
    assert (predicted == np.load(folder / "predictions.npy")).all()


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_final_weights_load_strictly_into_torchvision(make_config, name):
    config = make_config(rounds=0, epochs=1, model=name, image_size=32)
    [record] = search(config, say=lambda line: None)
    net = torchvision.models.get_model(name, num_classes=3)
    net.load_state_dict(load_file(Path(config.outputs) / "rounds" / record.name / "final.safetensors"), strict=True)


def test_what_is_no_finished_round_is_refused(make_config, tmp_path):
    with pytest.raises(DataError, match=r"holds no round.json; name the folder of a finished round"):
        lth.load_model(tmp_path)
    config = make_config(rounds=0, epochs=1)
    [record] = search(config, say=lambda line: None)
    folder = Path(config.outputs) / "rounds" / record.name
    (folder / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(DataError, match=r"config.yaml is missing, or does not match its hash"):
        lth.load_model(folder)


def test_a_folder_of_another_format_is_named_and_left_alone(make_config, capsys):
    config = make_config(rounds=0, epochs=1)
    old = Path(config.outputs) / "rounds" / "simple_cnn-round00-0123456789ab"
    old.mkdir(parents=True)
    (old / "round.json").write_text('{"key": "0123456789ab", "seal": "abc"}')
    [record] = search(config, say=lambda line: None)
    assert record.round_format == 2
    assert f"{old.name} is left out of results.csv: " in capsys.readouterr().err
    with pytest.raises(DataError, match="is damaged, or of another lth"):
        lth.load_model(old)
