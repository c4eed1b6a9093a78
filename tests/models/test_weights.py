"""Pretrained weights: where they come from, what is loaded, what is refused."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from lth.config import Config, Model
from lth.errors import DataError, UsageError
from lth.hashes import differing
from lth.models import weights
from lth.models.build import build, check


def saved(folder: Path, state: object) -> Path:
    torch.save(state, folder / "w.pth")
    return folder / "w.pth"


def loaded(path: Path | None, name: str = "resnet18") -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return build(Config(model=Model(name)), 6, path).net.state_dict()


@pytest.mark.parametrize("wrapped", [False, True])
def test_weights_of_the_stock_network_are_loaded_and_the_head_is_new(tmp_path, wrapped):
    source, random = models.resnet18(weights=None).state_dict(), loaded(None)
    state = loaded(saved(tmp_path, {"state_dict": source} if wrapped else source))
    assert differing(state, source) == ["fc.bias", "fc.weight"]
    assert not {"fc.bias", "fc.weight"} & set(differing(state, random)), "as the seed has it"


def test_weights_of_our_own_are_loaded_with_the_head(tmp_path):
    source = {name: tensor + 1 for name, tensor in loaded(None).items()}
    save_file(source, tmp_path / "w.safetensors")
    assert not differing(loaded(tmp_path / "w.safetensors"), source)


def test_keys_of_older_files_are_understood(tmp_path):
    source = models.densenet121(num_classes=6, weights=None).state_dict()
    names = {name: re.sub(r"(denselayer.*\.(?:norm|conv))([12])\.", r"\1.\2.", name) for name in source}
    old = {names[name]: tensor for name, tensor in source.items() if not name.endswith("num_batches_tracked")}
    assert any(".norm.1." in name for name in old)
    assert not differing(loaded(saved(tmp_path, old), "densenet121"), source)


def test_every_key_that_does_not_fit_is_named(tmp_path):
    state = models.resnet18(weights=None).state_dict()
    del state["layer1.0.conv1.weight"]
    state |= {"layer9.weight": torch.zeros(1), "conv1.weight": torch.zeros(2, 2)}
    path = saved(tmp_path, state)
    for load in (build, lambda config, classes, path: check(config, path)):
        with pytest.raises(DataError) as caught:
            load(Config(model=Model("resnet18")), 6, path)
        message = str(caught.value)
        assert re.match(r".*w\.pth do not fit ResNet: Missing .*layer1\.0\.conv1\.weight.*; Unexpected .*layer9\.weight", message)
        assert re.search(r"size mismatch for conv1\.weight.*\[2, 2\].*\[64, 3, 7, 7\]\); model\.weights_missing=fresh", message)


def test_weights_that_torchvision_does_not_have_are_refused(monkeypatch):
    monkeypatch.setattr(weights, "reachable", lambda host: True)
    with pytest.raises(UsageError, match="imagenet is not accepted: torchvision has no weights of resnet19"):
        weights.locate(Model("resnet19", weights="imagenet"))


@pytest.mark.parametrize("answers", [True, False])
def test_what_cannot_be_downloaded_is_said_in_one_sentence_and_a_file_in_its_place_is_taken(tmp_path, monkeypatch, answers):
    def fails(*args, **options):
        assert answers, "it would hang"
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fails)
    monkeypatch.setattr(weights, "reachable", lambda host: answers)
    model, place = Model("resnet18", weights="imagenet"), tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    sentence = r"of resnet18 could not be downloaded .* put the file {} into .*checkpoints, .*model\.weights=none\.$"
    with pytest.raises(DataError, match=sentence.format(place.name if answers else r"resnet18-\*\.pth")):
        weights.locate(model)
    place.parent.mkdir(parents=True, exist_ok=True)
    (place.parent / "other.pth").touch()
    with pytest.raises(DataError, match=sentence.format(place.name)):
        weights.locate(model)
    place.touch()
    assert weights.locate(model) == place
