"""A small real experiment, its processes (forked after the imports, which cost seconds), and what it must end with."""

import csv
import importlib
import json
import multiprocessing
import os
import pkgutil
import re
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIES = {"seconds", "images_per_second", "finished", "command", "hash", "files"}  # of a round.json, from run to run
Process = multiprocessing.get_context("fork").Process


def warm() -> None:
    """Import all of lth. This process must not train, or the threads that it starts are missing in its children."""
    import matplotlib.figure
    import torch

    import lth

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(lth.__path__, "lth."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    matplotlib.figure.Figure.savefig = lambda figure, *_, **__: None  # pictures take most of the time


def command(images: Path, outputs: Path, *more: str) -> None:
    """Run three rounds that rewind to a step of the first one, and a control; a checkpoint after each step."""
    from lth.run import main

    options = (
        f"data=folder data.root={images} data.image_size=8 data.batch_size=16 model=lenet_300_100 trainer=cpu logger=tensorboard "
        "epochs=2 prune.rounds=2 prune.rewind=6it prune.controls=reinit prune.control_rounds=2 trainer.checkpoint_minutes=1e-9"
    )
    sys.argv = ["lth", *options.split(), f"outputs={outputs}", *more]
    main()


def start(work: Callable[[], Any], log: Path) -> Process:
    """Start a process that does ``work`` and prints to ``log``."""

    def child() -> None:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        work()

    process = Process(target=child)
    process.start()
    return process


def run(work: Callable[[], Any], log: Path) -> tuple[int, str]:
    """Do ``work`` in a process; return its exit code, negative for the signal that killed it, and what it printed."""
    process = start(work, log)
    process.join()
    text = log.read_text(errors="replace")
    assert "Traceback" not in text, text
    return process.exitcode, text


def wait(until: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def undisturbed(images: Path, outputs: Path) -> dict[str, Any]:
    """Run the experiment once; return its outcome."""
    code, text = run(lambda: command(images, outputs), outputs.with_name(f"{outputs.name}.txt"))
    assert code == 0, text
    return outcome(outputs)


def facts(outputs: Path) -> dict[str, Any]:
    """Return the facts of each finished round that are the same in every run."""
    records = {path.parent.name: json.loads(path.read_text()) for path in sorted(outputs.glob("rounds/*/round.json"))}
    return {name: {f: value for f, value in record.items() if f not in VARIES} for name, record in records.items()}


def outcome(outputs: Path) -> dict[str, Any]:
    """Return all that must be the same in the end: for each round its facts, metrics and the bytes of its tensors."""
    rounds = facts(outputs)
    for name, contents in rounds.items():
        folder = outputs / "rounds" / name
        contents["rows"] = [row[:7] for row in csv.reader((folder / "metrics.csv").read_text().splitlines())]
        contents["tensors"] = [zlib.crc32(path.read_bytes()) for path in sorted(folder.glob("*.safetensors"))]
    return rounds


def wrong(outputs: Path, expected: dict[str, Any]) -> list[str]:
    """Return what differs from ``expected``, is broken or is left over in the end; empty if nothing is."""
    from lth.invariants.verify import verify

    rounds, lines = outcome(outputs), []
    verify(outputs, say=lines.append)
    odd = [line for line in lines if line.startswith("broken")]
    odd += [
        f"{name} differs: {rounds.get(name)}, {expected.get(name)}"
        for name in rounds | expected
        if rounds.get(name) != expected.get(name)
    ]
    rows = [row["key"] for row in csv.DictReader((outputs / "results.csv").read_text().splitlines())]
    if sorted(rows) != sorted(name.rpartition("-")[2] for name in expected):
        odd.append(f"results.csv has the rows {rows}")
    left = [p for p in outputs.glob("checkpoints/*") if re.fullmatch(r"[0-9a-f]{12}\.safetensors", p.name)]
    return odd + [f"{path} is left over" for path in [*left, *outputs.glob("rounds/*/.*.draft")]]


def share_of(share: float, name: str) -> bool:
    """Return whether a case is among a share of all, the same in every process."""
    return zlib.crc32(name.encode()) % 10000 < 10000 * share
