"""The same loop on real photographs, where they lie beside the checkout; test_search.py shows it on images made here."""

from pathlib import Path

import pytest

from lth.config import Config, Data, Logger, Prune, Trainer
from lth.training.search import search

INTEL = Path(__file__).parents[2] / "shared" / "data" / "intel"


@pytest.mark.skipif(not INTEL.is_dir(), reason="the Intel scenes do not lie in ../shared/data/intel")
def test_a_ticket_on_the_intel_scenes(tmp_path):
    data = Data(name="intel", root=str(INTEL), image_size=75, cache=str(tmp_path / "cache"))
    common = {"data": data, "prune": Prune(rounds=1), "trainer": Trainer(accelerator="cpu"), "logger": Logger("none")}
    config = Config(seed=0, epochs=2, outputs=str(tmp_path), **common)
    dense, ticket = search(config, say=lambda line: None)
    assert dense.classes == ["buildings", "forest", "glacier", "mountain", "sea", "street"]
    assert dense.images == {"train": 3060, "val": 540, "test": 900}
    assert dense.test_acc > 0.4
    assert ticket.test_acc > 0.4
    assert ticket.kept == dense.kept - round(dense.kept * 0.2)
