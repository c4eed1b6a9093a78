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
from tests.benchmarks.timing import show

RATE, LR, BATCH = 0.2, 0.001, 64
Score = tuple[float, float | None]  # test accuracy after the last epoch, at the lowest validation loss
Clocks = tuple[float, float]  # of the wall, and of the processors, in seconds
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
    found: dict[str, Clocks] = {}
    for way in ("lth.run", *one.others):
        asked = replace(one, folder=f"{place}/{way}")
        scores, found[way] = ours(asked) if way == "lth.run" else other(way, asked)
        accuracies = ", ".join(" / ".join("-" if score is None else f"{score:.3f}" for score in pair) for pair in scores)
        print(f"{way}: test accuracies, last epoch / lowest validation loss: {accuracies}", flush=True)
    what = f"{one.model} {one.finetune}, {one.rounds} rounds of {one.epochs} epochs"
    for k, clock in enumerate(("time", "time of processors")):
        for way in one.others:
            show(f"{what}, {clock}", {way: found[way][k], "lth.run": found["lth.run"][k]}, way, 1)


def clocks() -> Clocks:
    """Return the time, and the processors' time of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(of.ru_utime + of.ru_stime for of in used)


def run(*line: str) -> tuple[str, Clocks, Clocks]:
    """Return what a Python process prints, when it began, and what it took."""
    before = clocks()
    text = subprocess.run([sys.executable, "-m", *line], check=True, capture_output=True, text=True).stdout
    return text, before, tuple(b - a for a, b in zip(before, clocks()))


def ours(one: Job) -> tuple[list[Score], Clocks]:
    given = (
        f"data=folder data.root={one.root} data.image_size={one.size} data.batch_size={BATCH} data.cache={one.folder}/cache "
        f"outputs={one.folder} model={one.model} model.weights=none finetune={one.finetune} epochs={one.epochs} optim.lr={LR} "
        f"trainer=cpu prune.rate={RATE} prune.rounds={one.rounds} seed={one.seed} {one.options}"
    )
    _, _, spent = run("lth.run", *given.split())
    rounds = sorted(record.read(Path(one.folder)).records, key=lambda r: r.round)
    return [(r.test_acc, r.early_stop_test_acc) for r in rounds], spent


def other(way: str, one: Job) -> tuple[list[Score], Clocks]:
    """Return also what all rounds take: the start, and the rounds that are measured as often as they are fewer."""
    measured = one.rounds if one.measured is None else one.measured
    text, before, spent = run("tests.benchmarks.others", way, json.dumps(asdict(replace(one, rounds=measured))))
    scores, first = json.loads(text.splitlines()[-1])
    start = (first[0] - before[0], first[1])  # the clock of the wall is one for all processes, that of a process begins with it
    return scores, tuple(a + (b - a) * (one.rounds + 1) / (measured + 1) for a, b in zip(start, spent))
