"""Images that the tests make themselves: three classes of coloured stripes, learnable in a few epochs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.errors import notice_once

CLASSES = ("across", "down", "plain")


def decay(path: Path, back: int) -> None:
    """Flip a bit, ``back`` bytes before the end, that neither the size nor the time of a file shows."""
    content, times = bytearray(path.read_bytes()), path.stat()
    content[-back] ^= 16
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def stripes(name: str, rng: np.random.Generator, size: int = 20) -> np.ndarray:
    """uint8 (size, size, 3): noise, with stripes across or down it."""
    pixels = rng.integers(0, 120, (size, size, 3))
    phase, strength = rng.integers(0, 4), rng.integers(40, 120, 3)
    if name == "across":
        pixels[phase::4] += strength
    elif name == "down":
        pixels[:, phase::4] += strength
    return pixels.astype(np.uint8)


def write_images(root: Path, per_class: int, seed: int = 0, suffix: str = "png") -> Path:
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(stripes(name, rng)).save(root / name / f"{i:03d}.{suffix}")
    return root


def write_parts(root: Path, train: int, test: int) -> Path:
    """A folder with train/ and test/, so many images a class."""
    write_images(root / "train", train)
    write_images(root / "test", test, seed=1)
    return root


@pytest.fixture(autouse=True)
def _errors_in_one_sentence(monkeypatch):
    """``lth.run.main`` has Hydra hand over its errors by this variable; in this process it would reach later tests' commands."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


@pytest.fixture
def typed(monkeypatch, capsys):
    """A function that runs a command's ``main`` with arguments in this process: exit code, stdout, stderr."""
    monkeypatch.setattr("lth.cli.signals.listen", lambda: None)

    def run(main: Callable[[], int | None], *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["lth", *map(str, arguments)])
        notice_once.cache_clear()
        try:
            code = main() or 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    return write_parts(tmp_path_factory.mktemp("images"), 40, 12)


@pytest.fixture
def make_config(images, tmp_path):
    """A function giving a small, fast Config: ``make_config(rounds=3, seed=1, epochs=2, model="simple_cnn", ...)``."""

    def make(outputs: Path | None = None, **changes) -> Config:
        def chosen(*names: str) -> dict[str, Any]:
            return {name: changes.pop(name) for name in names if name in changes}

        out = outputs or tmp_path / "outputs"
        data = {"name": "folder", "root": str(images), "image_size": 20, "batch_size": 16, "cache": str(out / "cache")}
        data |= chosen("augment", "cache_limit", "workers", "on_error", "normalize", "root", "channels", "image_size")
        return Config(
            data=Data(**data),
            prune=Prune(**{"rounds": 2} | chosen("rounds", "rate", "schedule", "head")),
            model=Model(changes.pop("model", "lenet_300_100")),
            logger=Logger(changes.pop("logger", "none")),
            trainer=Trainer("cpu", **chosen("precision", "compile")),
            **{"seed": 0, "epochs": 2, "outputs": str(out)} | changes,
        )

    return make
