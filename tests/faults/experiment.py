"""A small real experiment, its processes (forked after the imports, which cost seconds), and what it must end with."""

import csv
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lth.invariants.verify import verify
from lth.training.search import search
from tests.conftest import write_parts

VARIES = {"seconds", "images_per_second", "finished", "command", "hash", "files"}  # of a round.json, from run to run
FAILED = 99


def pictures(root: Path) -> Path:
    """Eight by eight pixels, for a LeNet of 90,000 weights."""
    return write_parts(root, 30, 6)


def arguments(images: Path, outputs: Path, *more: str) -> list[str]:
    """Three rounds that rewind to a step of the first one, and a control; saved at each step."""
    options = (
        f"data=folder data.root={images} data.image_size=8 data.batch_size=16 model=lenet_300_100 trainer=cpu logger=tensorboard "
        "epochs=2 prune.rounds=2 prune.rewind=6it prune.controls=reinit prune.control_rounds=2 trainer.checkpoint_minutes=1e-9"
    )
    return [*options.split(), f"outputs={outputs}", *more]


def config(images: Path, outputs: Path, *more: str) -> Any:
    """The same as a command line would give."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from lth.run import CONF

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_object(compose("config", overrides=arguments(images, outputs, *more)))


def warm() -> None:
    """Import what a training imports. This process must not train, or the threads that it starts are missing in its children."""
    import torch

    import lth.analysis.statement
    import lth.report.details
    import lth.training.round  # noqa: F401

    torch.set_num_threads(1)


def quiet(made: Any) -> None:
    search(made, say=lambda line: None)


def command(*line: str) -> None:
    """``python -m lth.run`` in this process."""
    from lth.run import main

    sys.argv = ["lth", *line]
    main()


def start(work: Callable[[], Any], log: Path) -> int:
    """A process that does ``work``, with what it says in ``log``; returns its id."""
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
    """Wait for a process; its exit code, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def do(work: Callable[[], Any], log: Path) -> int:
    return end(start(work, log))


def told(outputs: Path) -> dict[str, Any]:
    """All that must be the same after whatever happened: by round, its scores and the bytes of its weights and masks."""
    rounds = {}
    for folder in sorted(path.parent for path in outputs.glob("rounds/*/round.json")):
        record = {name: value for name, value in json.loads((folder / "round.json").read_text()).items() if name not in VARIES}
        rows = [row[:7] for row in csv.reader((folder / "metrics.csv").read_text().splitlines())]
        tensors = [(folder / f"{name}.safetensors").read_bytes() for name in ("final", "ticket")]
        rounds[folder.name] = record, rows, tensors
    return rounds


def faults(outputs: Path, expected: dict[str, Any]) -> list[str]:
    """What is wrong with a folder after all; empty if nothing is."""
    found = told(outputs)
    wrong = [f"rounds {sorted(found)} instead of {sorted(expected)}"] if found.keys() != expected.keys() else []
    for name in found.keys() & expected.keys():
        (record, rows, tensors), (record_too, rows_too, tensors_too) = found[name], expected[name]
        odd = [field for field in record | record_too if record.get(field) != record_too.get(field)]
        odd += ["metrics.csv"] * (rows != rows_too) + ["weights or masks"] * (tensors != tensors_too)
        wrong += [f"{name}: other {field}: {record.get(field)}, {record_too.get(field)}" for field in odd]
    lines: list[str] = []
    if verify(outputs, say=lines.append):
        wrong += [line for line in lines if line.startswith("broken")]
    rows = [row["key"] for row in csv.DictReader((outputs / "results.csv").read_text().splitlines())]
    if sorted(rows) != sorted(name.rpartition("-")[2] for name in expected):
        wrong.append(f"results.csv has the rows {rows}")
    left = [*outputs.rglob("*.draft"), *outputs.glob("partial/*"), *outputs.glob("*.damaged")]
    return wrong + [f"{path} is left over" for path in left]
