"""A tree of finished rounds, trained once for all tests of verify."""

import shutil
from pathlib import Path

import pytest

from tests.invariants.subject import EXPERIMENTS, Subject, experiment


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
def subject(tree) -> Subject:
    return Subject(tree)
