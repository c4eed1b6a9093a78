"""What a folder of images costs at first sight and at the next start, and what finished rounds take on the disk."""

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from lth.config import Config, Data, Logger, Model
from lth.data import decoded, folders, scenes
from lth.models import build
from lth.pruning import masks as M
from lth.training.callbacks import Reseed
from lth.training.search import search
from lth.tree.ticket import FINAL, START, TICKET, Ticket, save_final, save_start, save_ticket
from tests.benchmarks.timing import medians, show

SMALL, PHOTOGRAPHS = 70_000, 750  # small files in all, photographs of each class


class Reached(Exception):
    """The first step."""


def digits(root: Path) -> Path:
    """Write grey PNG files of 28x28 pixels, a bright blot each, as ten class folders."""
    rng, y = np.random.default_rng(0), np.arange(28)
    for n in range(SMALL):
        folder = root / str(n % 10)
        folder.mkdir(parents=True, exist_ok=True)
        down, right = (np.exp(-(((y - rng.uniform(8, 20)) / rng.uniform(2, 6)) ** 2)) for _ in range(2))
        blot = 255 * np.outer(down, right) * (rng.random((28, 28)) < 0.9)
        Image.fromarray(blot.astype(np.uint8)).save(folder / f"{n}.png")
    return root


def alone(paths: list[str], data: Data) -> None:
    """Pillow alone: open, convert, resize; each thread has a share of the files, and nothing is kept."""
    size, mode, threads = (data.image_size, data.image_size), "L" if data.channels == 1 else "RGB", os.cpu_count() or 1

    def share(part: list[str]) -> None:
        for path in part:
            with Image.open(path) as image:
                image = image.convert(mode)
                np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(share, [paths[k::threads] for k in range(threads)]))


def ours(data: Data) -> None:
    """List, read, hash and decode the files, and write their pixels."""
    shutil.rmtree(data.cache, ignore_errors=True)
    decoded.load(Path(data.root), data)


def first_sight(small: str = "", photographs: str = "") -> None:
    """Two folders that were not seen before, made here or given, against decoding their files alone."""
    with tempfile.TemporaryDirectory() as place:
        if not photographs:
            scenes.write((PHOTOGRAPHS, 1), 0, Path(place, "scenes"))
        small, photographs = small or str(digits(Path(place, "digits"))), photographs or f"{place}/scenes/seg_train"
        for root, size, channels in ((small, 28, 1), (photographs, 150, 3)):
            data = Data(name="folder", root=root, image_size=size, channels=channels, cache=f"{place}/cache")
            paths = [f"{root}/{name}" for name in folders.list_images(Path(root))[1]]
            kinds = {"decoding alone": partial(alone, paths, data), "first sight": partial(ours, data)}
            title = f"{len(paths):,} files, decoded to {size}x{size}x{channels}, {os.cpu_count()} threads"
            show(title, medians(kinds, runs=5, warm=1), "decoding alone")


def second_start(small: str = "") -> None:
    """From the command to its first step, after imports: of small files, made here or given, the first time and the next ones."""
    seconds = []
    with tempfile.TemporaryDirectory() as place:
        root, cache = small or str(digits(Path(place, "digits"))), f"{place}/cache"
        for k in range(6):
            data = Data(name="folder", root=root, image_size=28, channels=1, cache=cache)
            model, outputs = Model("lenet_300_100"), f"{place}/{k}"
            begin = time.perf_counter()
            with patch.object(Reseed, "on_train_batch_start", side_effect=Reached, create=True):
                try:
                    search(Config(outputs=outputs, data=data, model=model, logger=Logger("none")), say=lambda line: None)
                except Reached:
                    seconds.append(time.perf_counter() - begin)
    show("small files, from the command to its first step", {"first": seconds[0], "next": median(seconds[2:])}, "next")


def disk() -> None:
    """The tensors of chains of simple_cnn at rate 0.2, with random masks: final=compact against final=dense."""
    net = build.build(Config(), 6).net
    state, sizes = {name: tensor.clone() for name, tensor in net.state_dict().items()}, {"dense": [], "compact": []}
    masks = M.dense({name: state[name] for name in M.prunable(net)})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = save_start(folder, state)
        for k in range(63):
            ticket = Ticket(masks, state)
            save_ticket(folder, ticket, start)
            for kind, so_far in sizes.items():
                save_final(folder, ticket.start, masks, {}, compact=kind == "compact")
                names = (FINAL, TICKET, *(() if k else (START,)))  # one start for the chain
                so_far.append(sum((folder / name).stat().st_size for name in names))
            scores = {name: torch.rand(mask.shape) for name, mask in masks.items()}
            masks = M.keep_top(scores, masks, round(0.8 * M.kept(masks)))
    for rounds in (21, 63):
        gigabytes = {kind: sum(so_far[:rounds]) / 1e9 for kind, so_far in sizes.items()}
        show(f"tensors of {rounds} rounds of simple_cnn at rate 0.2, GB", gigabytes, "dense", 1)
