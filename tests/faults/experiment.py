"""A small real experiment, its processes (forked after the imports, which cost seconds), and what it must end with."""

import csv
import importlib
import json
import os
import pkgutil
import re
import sys
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIES = {"seconds", "images_per_second", "finished", "command", "hash", "files"}  # of a round.json, from run to run
FAILED = 99  # exit code of a process that raised


def arguments(images: Path, outputs: Path, *more: str) -> list[str]:
    """Three rounds that rewind to a step of the first one, and a control; a checkpoint after each step."""
    options = (
        f"data=folder data.root={images} data.image_size=8 data.batch_size=16 model=lenet_300_100 trainer=cpu logger=tensorboard "
        "epochs=2 prune.rounds=2 prune.rewind=6it prune.controls=reinit prune.control_rounds=2 trainer.checkpoint_minutes=1e-9"
    )
    return [*options.split(), f"outputs={outputs}", *more]


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


def command(*line: str) -> None:
    """Do what ``python -m lth.run`` does."""
    from lth.run import main

    sys.argv = ["lth", *line]
    main()


def start(work: Callable[[], Any], log: Path) -> int:
    """Start a process that does ``work`` and prints to ``log``; return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = FAILED
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        work()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def end(pid: int) -> int:
    """Wait for a process; return its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(work: Callable[[], Any], log: Path) -> tuple[int, str]:
    """Do ``work`` in a process; return its exit code and what it printed."""
    return end(start(work, log)), log.read_text(errors="replace")


def undisturbed(images: Path, outputs: Path) -> tuple[dict[str, Any], float]:
    """Run the experiment once; return its outcome and the seconds that it took."""
    begin = time.monotonic()
    code, printed = run(lambda: command(*arguments(images, outputs)), outputs.with_name(f"{outputs.name}.txt"))
    assert code == 0, printed
    return outcome(outputs), time.monotonic() - begin


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
    odd = [f"rounds {sorted(rounds)} instead of {sorted(expected)}"] if rounds.keys() != expected.keys() else []
    for name in rounds.keys() & expected.keys():
        one, other = rounds[name], expected[name]
        odd += [f"{name}: {f} is {one.get(f)}, not {other.get(f)}" for f in one | other if one.get(f) != other.get(f)]
    verify(outputs, say=lines.append)
    odd += [line for line in lines if line.startswith("broken")]
    rows = [row["key"] for row in csv.DictReader((outputs / "results.csv").read_text().splitlines())]
    if sorted(rows) != sorted(name.rpartition("-")[2] for name in expected):
        odd.append(f"results.csv has the rows {rows}")
    left = [p for p in outputs.glob("checkpoints/*") if re.fullmatch(r"[0-9a-f]{12}\.safetensors", p.name)]
    left += [p for p in outputs.rglob("*.draft") if time.time() - p.stat().st_mtime > 3600 or p.parents[1].name == "rounds"]
    return odd + [f"{path} is left over" for path in left]


def share_of(name: str, share: float) -> bool:
    """Return whether a case is among a share of all, the same in every process."""
    return zlib.crc32(name.encode()) % 10000 < 10000 * share
