"""Ray and Slurm where they are installed, and one sentence where they are not. tests/slurm has the checks on a real Slurm."""

import shutil
from importlib.util import find_spec

import pytest

from lth.errors import UsageError
from lth.launch import sweep
from lth.training.experiment import ImageExperiment
from lth.training.search import search
from tests.training import finals


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_is_one_sentence(make_config, monkeypatch, launcher, package):
    monkeypatch.setattr("lth.errors.find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=rf"hydra/launcher={launcher} needs the package {package}, .*pip install -e '.\[{launcher}\]'"
    ):
        sweep.train([ImageExperiment.of(make_config())], launcher, {})


def test_where_there_is_no_slurm_one_sentence_says_so(make_config, monkeypatch):
    monkeypatch.setattr("lth.errors.find_spec", lambda name: True)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="there is no command sbatch here"):
        sweep.train([ImageExperiment.of(make_config())], "slurm", {})


def test_an_unknown_launcher_is_one_sentence(make_config):
    with pytest.raises(UsageError, match="launcher=dask is not accepted: it takes one of local, ray, slurm"):
        sweep.train([ImageExperiment.of(make_config())], "dask", {})


@pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed: python -m tests.faults ray")
def test_ray_trains_the_bits_of_a_plain_search(make_config, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    config = make_config(tmp_path / "ray", epochs=1, rounds=1)
    assert sweep.train([ImageExperiment.of(config)], "ray", {"threads": 1}) == []
    search(make_config(tmp_path / "plain", epochs=1, rounds=1), say=lambda line: None)
    assert finals(tmp_path / "ray") == finals(tmp_path / "plain")
