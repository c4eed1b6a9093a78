"""Two ranks on one machine's processor, through the command line, as two GPUs would be."""

import os
import subprocess
import sys

from lth.invariants.verify import verify
from lth.tree.record import read
from tests.test_run import small


def test_two_ranks_train_prove_the_same_masks_and_write_once(images, tmp_path):
    command = [sys.executable, "-m", "lth.run", *small(images, tmp_path), "trainer.devices=2", "prune.rounds=2", "epochs=2"]
    told = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert told.returncode == 0, told.stderr
    records = sorted(read(tmp_path).records, key=lambda r: r.round)
    assert [r.round for r in records] == [0, 1, 2]
    for record in records:
        assert record.checks["ranks"]["ranks"] == 2
        assert all(entry["holds"] for entry in record.checks.values())
        assert sum(map(sum, record.test_confusion)) == 36, "each test image is scored once, over both ranks"
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4
    assert told.stdout.count("round 2/2:") == 1
    assert verify(tmp_path, say=lambda line: None) == 0


def test_ranks_and_sweeps_do_not_go_together(images, tmp_path):
    command = [sys.executable, "-m", "lth.run", "-m", *small(images, tmp_path), "trainer.devices=2", "seed=0,1"]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    assert told.returncode == 2
    assert "trainer.devices=2 is not accepted in a sweep" in told.stderr
