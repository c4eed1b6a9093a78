"""Sweeps on a real Slurm, which ``cluster.sh`` starts on this machine: ``make test-slurm``. Skipped where it is not installed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lth.invariants.verify import verify
from lth.tree import attempts
from lth.tree.record import read
from tests.conftest import write_parts
from tests.training import finals

CLUSTER = Path(__file__).with_name("cluster.sh")
SMALL = (
    "data=folder data.image_size=20 data.batch_size=16 model=lenet_300_100 trainer=cpu logger=none prune.rounds=1 "
    "hydra.launcher.partition=debug hydra.launcher.time=10"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm of two slots, in the environment of what is started here."""
    folder = tmp_path_factory.mktemp("slurm")
    environment = os.environ | {"GRACE": "10"}
    done = subprocess.run([CLUSTER, "start", folder], check=False, capture_output=True, text=True, env=environment)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip() or done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield
    subprocess.run([CLUSTER, "stop", folder], check=True)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("photographs"), 40, 12)


def run(photographs: Path, outputs: Path, *options: str, launcher: str = "slurm", check: bool = True) -> str:
    """Run a sweep; return what it printed."""
    small = [word for word in SMALL.split() if launcher == "slurm" or "launcher" not in word]
    line = [sys.executable, "-m", "lth.run", "-m", f"hydra/launcher={launcher}", *small, f"data.root={photographs}"]
    done = subprocess.run(
        [*line, f"outputs={outputs}", *options],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def queued() -> list[list[str]]:
    """Number, name and state of each job that waits or runs."""
    return [line.split() for line in output("squeue", "--me", "-h", "-o", "%i %j %T").splitlines()]


def wait(until: Callable[[], object], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"nothing happened; the queue is {queued()}"
        time.sleep(0.5)


def test_a_sweep_has_the_bits_of_a_plain_one_and_each_round_is_one_job(cluster, photographs, tmp_path):
    sweep = ["seed=0,1", "prune.rate=0.2,0.5", "epochs=1"]
    run(photographs, tmp_path / "slurm", *sweep)
    run(photographs, tmp_path / "plain", *sweep, launcher="basic")
    assert finals(tmp_path / "slurm") == finals(tmp_path / "plain")
    rows = attempts.read(tmp_path / "slurm")
    assert len({row.key for row in rows}) == len(rows) == len({row.worker for row in rows}) == 6
    assert verify(tmp_path / "slurm", say=lambda line: None) == 0
    assert not (tmp_path / "slurm" / "launch").exists()


def test_a_round_that_fails_is_named_with_what_comes_after_it(cluster, photographs, tmp_path):
    said = run(photographs, tmp_path, "seed=0", "epochs=1", "optim=sgd", "optim.lr=1e30", "hydra.launcher.retries=0", check=False)
    assert "round 0/1 seed 0" in said
    assert "1 rounds after it were not trained" in said
    assert "not a finite number" in said or "nan" in said.lower() or "inf" in said.lower()
    assert not queued()


def test_the_driver_leaves_and_a_preempted_round_goes_on_from_its_checkpoint(cluster, photographs, tmp_path):
    sweep = ["seed=0", "epochs=400"]
    outputs = tmp_path / "slurm"
    assert "2 rounds are queued" in run(photographs, outputs, *sweep, "hydra.launcher.wait=false")
    before = queued()
    assert "2 rounds are queued" in run(photographs, outputs, *sweep, "hydra.launcher.wait=false")
    assert [row[:2] for row in queued()] == [row[:2] for row in before], "nothing was submitted twice"
    wait(lambda: any("epoch 2/" in path.read_text() for path in outputs.glob("logs/*.txt")))
    [first] = [number for number, name, state in queued() if state == "RUNNING"]
    urgent = output("sbatch", "--parsable", "-p", "urgent", "-n", "2", "-o", "/dev/null", "--wrap", "sleep 5").strip()
    wait(lambda: "JobState=COMPLETED" in output("scontrol", "show", "job", urgent, "-o"))
    run(photographs, outputs, *sweep)
    assert "Restarts=1" in output("scontrol", "show", "job", first, "-o")
    dense = next(record for record in read(outputs).records if record.round == 0)
    assert "saved at iteration" in (dense.folder / "log.txt").read_text()
    run(photographs, tmp_path / "plain", *sweep, launcher="basic")
    assert finals(outputs) == finals(tmp_path / "plain")
