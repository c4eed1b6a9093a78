"""A tree of finished rounds, trained once for all tests of verify."""

import shutil
from pathlib import Path

import pytest

from lth.invariants.verify import Valid
from tests.invariants.subject import EXPERIMENTS, Subject, experiment, validated


@pytest.fixture(scope="session")
def healthy(images, tmp_path_factory) -> Path:
    """Not to be changed."""
    outputs = tmp_path_factory.mktemp("healthy")
    for prune in EXPERIMENTS:
        experiment(images, outputs, **prune)
    return outputs


@pytest.fixture(scope="session")
def valid(healthy) -> Valid:
    return validated(healthy)


@pytest.fixture
def tree(healthy, tmp_path) -> Path:
    """A copy that may be changed."""
    return shutil.copytree(healthy, tmp_path / "outputs", ignore=shutil.ignore_patterns("cache"))


@pytest.fixture
def subject(tree, valid) -> Subject:
    return Subject(tree, valid)
