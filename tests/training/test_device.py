"""Scores and lines between copies are computed where a network is trained."""

from itertools import pairwise

import pytest
from torch import nn

from lth.pruning import criteria
from lth.training import connectivity
from lth.training.device import Device
from lth.training.search import search


@pytest.mark.parametrize(("kind", "rank", "place"), [
    ("cuda", "1", "cuda:1"), ("cuda", None, "cuda:0"), ("cpu", "1", "cpu"), ("mps", None, "mps"),
])  # fmt: skip
def test_each_rank_has_its_own_device(monkeypatch, kind, rank, place):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert Device(kind, "32-true").torch_name == place


@pytest.mark.parametrize(("criterion", "module", "name"), [
    ("snip", criteria, "_loss"), ("grasp", criteria, "_loss"), ("magnitude", connectivity, "line"),
])  # fmt: skip
def test_a_network_is_moved_to_the_device_before_it_is_scored(make_config, monkeypatch, criterion, module, name):
    """Lightning has left it on the CPU; another name of the CPU stands for the device here."""
    events, to, score = [], nn.Module.to, getattr(module, name)
    monkeypatch.setattr(Device, "torch_name", "cpu:0")
    monkeypatch.setattr(nn.Module, "to", lambda self, *args, **how: events.append(str(*args)) or to(self, *args, **how))
    monkeypatch.setattr(module, name, lambda *args, **options: events.append(name) or score(*args, **options))
    config = make_config(rounds=1, epochs=1)
    config.prune.criterion, config.prune.controls = criterion, "order"
    search(config, say=lambda line: None)
    assert name in events
    assert all(before == "cpu:0" for before, event in pairwise(events) if event == name)
