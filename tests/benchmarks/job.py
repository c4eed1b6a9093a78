"""The study's whole job, ``python -m lth.run``, beside what people use today; whole processes, from image files to accuracies."""

import json
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
PARTS = ("seg_train", "seg_test")


@dataclass(frozen=True)
class Job:
    """A dense network and its tickets.

    Args:
        train, test: images of each class.
        size: of the images, in pixels.
        epochs: of each round.
        others: what is measured beside ``lth.run``, names in ``others.WAYS``.
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
    root: str = ""
    folder: str = ""
    seed: int = 0


CHANNELS = "prune.structure=channels prune.allocation=layerwise prune.retrain=finetune"
JOBS = {
    "simple_cnn": Job("simple_cnn", "all", 250, 100, 64, 10, others=("by_hand", "callback", "in_forward")),
    "channels": Job("simple_cnn", "all", 250, 100, 64, 10, others=("smaller",), options=CHANNELS),
    "resnet18": Job("resnet18", "head", 50, 25, 150, 30),
    "densenet121": Job("densenet121", "denseblock4", 50, 25, 150, 10),
}


def job(root: str = "", *names: str, **changes: int) -> None:
    """Print the times of each way and their ratios, and the test accuracies of the dense network and of the last ticket.

    Args:
        root: folder of images with seg_train and seg_test, of which each class's first ones are taken; empty: rendered ones.
        names: in JOBS; none: all.
        changes: of the jobs.
    """
    for name in names or JOBS:
        with tempfile.TemporaryDirectory() as place:
            one = replace(JOBS[name], root=f"{place}/images", **changes)
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
    seconds, scores = {}, {}
    for way in ("lth.run", *one.others):
        asked = replace(one, folder=f"{place}/{way}")
        begin = time.perf_counter()
        scores[way] = ours(asked) if way == "lth.run" else other(way, asked)
        seconds[way] = time.perf_counter() - begin
        print(f"{way}: {seconds[way]:.1f} s; {described(scores[way])}", flush=True)
    show(f"{one.model} {one.finetune}, {one.rounds} rounds", seconds, "by_hand" if "by_hand" in seconds else one.others[0])


def described(scores: list[Score]) -> str:
    return ", ".join(" / ".join("-" if score is None else f"{score:.3f}" for score in pair) for pair in scores)


def ours(one: Job) -> list[Score]:
    given = (
        f"data=folder data.root={one.root} data.image_size={one.size} data.batch_size={BATCH} data.cache={one.folder}/cache "
        f"outputs={one.folder} model={one.model} finetune={one.finetune} epochs={one.epochs} optim.lr={LR} trainer=cpu "
        f"prune.rate={RATE} prune.rounds={one.rounds} seed={one.seed} {one.options}"
    )
    subprocess.run([sys.executable, "-m", "lth.run", *given.split()], check=True, capture_output=True)
    return [(r.test_acc, r.early_stop_test_acc) for r in sorted(record.read(Path(one.folder)).records, key=lambda r: r.round)]


def other(way: str, one: Job) -> list[Score]:
    line = [sys.executable, "-m", "tests.benchmarks.others", way, json.dumps(asdict(one))]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
