"""The study's whole job, ``python -m lth.run``, beside what people use today; whole processes, from image files to accuracies."""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lth.data import folders, scenes
from lth.tree import record

RATE, LR, BATCH = 0.2, 0.001, 64
Score = tuple[float, float | None]  # test accuracy after the last epoch, at the lowest validation loss
PARTS = ("seg_train", "seg_test")


@dataclass(frozen=True)
class Job:
    """A dense network and its tickets.

    Args:
        train, test: images of each class.
        size: of the images, in pixels.
        epochs: of each round.
        others: what is measured beside ``lth.run``, names in ``others.WAYS``.
        measured: the tickets that the others train, and that tell the time of the rest, as all rounds take the same; None: all.
        options: of ``lth.run``, beside the above.
        root: the images.
        folder: an empty one, for what is written.
    """

    model: str
    finetune: str
    train: int
    test: int
    size: int
    epochs: int
    rounds: int = 6
    others: tuple[str, ...] = ("by_hand",)
    options: str = ""
    measured: int | None = None
    root: str = ""
    folder: str = ""
    seed: int = 0


CHANNELS = "prune.structure=channels prune.allocation=layerwise prune.retrain=finetune"
JOBS = {
    "simple_cnn": Job("simple_cnn", "all", 250, 100, 64, 6, others=("by_hand", "callback", "in_forward")),
    "channels": Job("simple_cnn", "all", 250, 100, 64, 6, others=("smaller",), options=CHANNELS),
    "resnet18": Job("resnet18", "head", 100, 50, 150, 10, measured=0),
    "densenet121": Job("densenet121", "denseblock4", 30, 30, 150, 10, measured=0),
}


def job(root: str = "", *given: str) -> None:
    """Print the times of each way and their ratios, and the test accuracies of the dense network and of the tickets.

    Args:
        root: folder of images with seg_train and seg_test, of which each class's first ones are taken; empty: rendered ones.
        given: names in JOBS (none: all), and changes of the jobs such as ``epochs=30``.
    """
    names, changes = [name for name in given if "=" not in name], [change.split("=") for change in given if "=" in change]
    for name in names or JOBS:
        with tempfile.TemporaryDirectory() as place:
            one = replace(JOBS[name], root=f"{place}/images", **{key: int(value) for key, value in changes})
            copy_images(root, one)
            measure(one, place)


def copy_images(root: str, one: Job) -> None:
    if not root:
        scenes.write((one.train, one.test), 0, Path(one.root))
        return
    for part, count in zip(PARTS, (one.train, one.test), strict=True):
        for name in folders.subfolders(Path(root, part)):
            (folder := Path(one.root, part, name)).mkdir(parents=True)
            for path in sorted(Path(root, part, name).iterdir())[:count]:
                shutil.copy(path, folder)


def measure(one: Job, place: str) -> None:
    print(f"\n{one}", flush=True)
    found: dict[str, list[float]] = {}
    for way in ("lth.run", *one.others):
        asked = replace(one, folder=f"{place}/{way}")
        before = clocks()
        scores, rounds = ours(asked) if way == "lth.run" else other(way, asked)
        spent = [b - a for a, b in zip(before, clocks())]
        missing = one.rounds + 1 - len(rounds) if rounds else 0
        factor = 1 + missing * sum(rounds) / max(1, len(rounds)) / spent[0]
        found[way] = [seconds * factor for seconds in spent]
        more = f", times {factor:.2f} for {missing} more rounds" if missing else ""
        print(f"{way}: {spent[0]:.1f} s, {spent[1]:.1f} s of processors{more}")
        print("  test accuracies, last epoch / lowest validation loss: " + described(scores), flush=True)
    for way in one.others:
        ratios = [a / b for a, b in zip(found["lth.run"], found[way])]
        print(f"lth.run / {way}: {ratios[0]:.3f} of the time, {ratios[1]:.3f} of the processors' time", flush=True)


def clocks() -> tuple[float, float]:
    """Return the time, and the processors' time of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def described(scores: list[Score]) -> str:
    return ", ".join(" / ".join("-" if score is None else f"{score:.3f}" for score in pair) for pair in scores)


def ours(one: Job) -> tuple[list[Score], list[float]]:
    given = (
        f"data=folder data.root={one.root} data.image_size={one.size} data.batch_size={BATCH} data.cache={one.folder}/cache "
        f"outputs={one.folder} model={one.model} model.weights=none finetune={one.finetune} epochs={one.epochs} optim.lr={LR} "
        f"trainer=cpu prune.rate={RATE} prune.rounds={one.rounds} seed={one.seed} {one.options}"
    )
    subprocess.run([sys.executable, "-m", "lth.run", *given.split()], check=True, capture_output=True)
    return [(r.test_acc, r.early_stop_test_acc) for r in sorted(record.read(Path(one.folder)).records, key=lambda r: r.round)], []


def other(way: str, one: Job) -> tuple[list[Score], list[float]]:
    given = replace(one, rounds=one.rounds if one.measured is None else one.measured)
    line = [sys.executable, "-m", "tests.benchmarks.others", way, json.dumps(asdict(given))]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
