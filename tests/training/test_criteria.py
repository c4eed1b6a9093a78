"""Every criterion and allocation through the whole of a search; every conf/prune choice from the command line's side."""

from itertools import pairwise
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lth import load_ticket
from lth.pruning import masks as M
from lth.run import CONF
from lth.training.search import search

CHOICES = sorted(p.stem for p in (CONF / "prune").glob("*.yaml"))


@pytest.mark.parametrize("allocation", ["global", "layerwise", "erk"])
@pytest.mark.parametrize("criterion", ["magnitude", "random", "snip", "grasp", "synflow"])
def test_the_count_is_exact_and_the_proofs_hold(make_config, criterion, allocation):
    config = make_config(model="resnet20", rounds=2, rate=0.5, epochs=1)
    config.model.width = 0.25
    config.prune.criterion, config.prune.allocation = criterion, allocation
    records = search(config, say=lambda line: None)
    for before, record in pairwise(records):
        if allocation == "layerwise":
            tickets = [load_ticket(Path(config.outputs) / "rounds" / r.name) for r in (before, record)]
            for name, mask in tickets[1].masks.items():
                assert M.kept({name: mask}) == M.kept_after(M.kept({name: tickets[0].masks[name]}), 0.5)
        else:
            assert record.kept == M.kept_after(before.kept, 0.5)
        assert record.checks["exact_count"]["expected"] == record.kept
        assert all(entry["holds"] for entry in record.checks.values())
        assert (record.criterion, record.allocation) == (criterion, allocation)
    if allocation == "erk":
        layers = [records[1].layers[name] for name in ("layer1.0.conv1.weight", "layer3.2.conv2.weight")]
        assert layers[0] > 1.5 * layers[1], "small layers are denser"


def test_the_output_layer_is_pruned_at_its_own_rate(make_config):
    config = make_config(rounds=1, rate=0.4)
    config.prune.allocation, config.prune.head_rate = "layerwise", 0.5
    record = search(config, say=lambda line: None)[1]
    densities = {name: round(density, 2) for name, density in record.layers.items()}
    assert densities == {"fc1.1.weight": 0.6, "fc2.0.weight": 0.6, "head.weight": 0.8}


def test_criteria_at_the_start_do_not_look_at_the_trained_weights(make_config, tmp_path):
    """The same masks whatever round 0 learnt: they are made of its initial weights."""
    masks = []
    for epochs in (1, 2):
        config = make_config(outputs=tmp_path / str(epochs), rounds=1, rate=0.5, epochs=epochs)
        config.prune.criterion = "snip"
        record = search(config, say=lambda line: None)[1]
        masks.append(M.hash_masks(load_ticket(tmp_path / str(epochs) / "rounds" / record.name).masks))
    assert masks[0] == masks[1]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_prune_runs(images, tmp_path, choice):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [
            f"prune={choice}", "prune.rounds=2", "model=lenet_300_100", "epochs=2", "logger=none", "data=folder",
            f"data.root={images}", "data.image_size=20", "data.batch_size=16", f"outputs={tmp_path}", "trainer=cpu",
        ])  # fmt: skip
    config = OmegaConf.to_object(cfg)
    records = search(config, say=lambda line: None)
    assert len(records) == {"imp": 3, "one_shot": 2}[config.prune.schedule]
    assert records[-1].kept == M.kept_after(records[0].prunable, 0.2, 2)
    assert all(entry["holds"] for record in records for entry in record.checks.values())
