"""Every experiment that ships runs: two batches an epoch of small images, random weights, one round."""

from pathlib import Path

import pytest

from lth.run import CONF
from lth.training.search import search
from tests.test_config import composed

EXPERIMENTS = sorted(p.stem for p in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs(name: str, images: Path, tmp_path: Path):
    config = composed(
        f"experiment={name}", f"data.root={images}", "data.image_size=40", "data.batch_size=64", "epochs=1",
        "prune.rounds=1", "prune.control_rounds=all", "model.weights=none", "trainer=cpu", "logger=none", f"outputs={tmp_path}",
    )  # fmt: skip
    records = search(config, say=lambda line: None)
    assert [r.round for r in records[:2]] == [0, 1]
    assert records[0].iterations == 2
    assert all(entry["holds"] for record in records for entry in record.checks.values())
