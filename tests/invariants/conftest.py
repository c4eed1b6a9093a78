"""A tree of finished rounds, trained once for all tests of the doctor."""

import shutil
from pathlib import Path

import pytest

from tests.invariants.patient import EXPERIMENTS, Patient, experiment


@pytest.fixture(scope="session")
def healthy(images, tmp_path_factory) -> Path:
    """Not to be changed."""
    outputs = tmp_path_factory.mktemp("healthy")
    for prune in EXPERIMENTS:
        experiment(images, outputs, **prune)
    return outputs


@pytest.fixture
def tree(healthy, tmp_path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(healthy, tmp_path / "outputs", ignore=shutil.ignore_patterns("cache"))


@pytest.fixture
def patient(tree) -> Patient:
    return Patient(tree)
