"""Trains the rounds of several experiments on an engine. Imports no torch."""

import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from lth.cli import signals
from lth.config import require
from lth.errors import LthError, UsageError
from lth.launch.display import Display, duration
from lth.launch.graph import Round, costs, paths, unite
from lth.launch.schedule import BUSY, Ended, Engine, Note, Schedule, makespan
from lth.launch.work import log_path
from lth.tracking import chains
from lth.training.experiment import Experiment
from lth.tree import attempts
from lth.tree.attempts import Attempt
from lth.tree.record import Record, read
from lth.tree.spec import depth
from lth.tree.store import Store

ENGINES = {"local": "lth.launch.local.Local", "ray": "lth.launch.on_ray.Ray", "slurm": "lth.launch.on_slurm.Slurm"}
LISTED = 30.0  # seconds between two versions of results.csv
WORKERS = (1, 2, 8, 64)  # of the estimates


def train(experiments: Sequence[Experiment], launcher: str, options: dict[str, Any]) -> list[LthError]:
    """Train all missing rounds of experiments; return an error for each round that failed.

    Args:
        launcher: one of ENGINES.
        options: of the engine, and ``retries``.

    Raises:
        UsageError: an option is not accepted, or the experiments have several outputs folders.
        Interrupted: a signal asked to stop.
    """
    outputs, retries = _outputs(experiments), options.pop("retries", 2)
    require(isinstance(retries, int) and retries >= 0, "hydra.launcher.retries", retries, "a number at least 0")
    rounds, _ = unite(experiments)
    records = read(outputs).records
    cost, measured = costs(rounds, records)
    schedule = Schedule(rounds, {record.key for record in records}, cost, retries)
    store = Store(outputs)
    store.tidy()
    engine = make(launcher, experiments, options)
    display = Display(schedule, outputs, engine.workers, bool(measured))
    try:
        with signals.listening():
            engine.train(schedule, _noting(schedule, store, display, engine.stopped))
    finally:
        engine.stop()
        display.close()
        store.list_all()
        with suppress(OSError):  # of rounds that are not finished
            (outputs / "logs").rmdir()
    return [_failure(schedule, outputs, key) for key in schedule.failed]


def make(launcher: str, experiments: Sequence[Experiment], options: dict[str, Any]) -> Engine:
    """Return an engine. Raises UsageError where the launcher or an option does not exist."""
    require(launcher in ENGINES, "launcher", launcher, f"one of {', '.join(ENGINES)}")
    module, _, name = ENGINES[launcher].rpartition(".")
    try:
        return getattr(import_module(module), name)(experiments, **options)
    except TypeError as error:
        raise UsageError(f"an option of the launcher {launcher} is not accepted: {error}.") from error


def _outputs(experiments: Sequence[Experiment]) -> Path:
    folders = sorted({experiment.config.outputs for experiment in experiments})
    require(len(folders) == 1, "outputs", ",".join(folders), "one folder in a sweep with a launcher")
    return Path(folders[0])


def _noting(schedule: Schedule, store: Store, display: Display, stopped: str) -> Note:
    """Return what is done every second: rows of schedule.csv, results.csv from time to time, the display, a look at signals."""
    listed = time.monotonic()

    def note(ended: list[tuple[Ended, int]]) -> None:
        nonlocal listed
        rows = [(end, attempt) for end, attempt in ended if end.end > end.begin and end.exit != BUSY]
        attempts.append(store.outputs, [_row(schedule.rounds[end.key], end, attempt) for end, attempt in rows])
        if ended and time.monotonic() - listed > LISTED:
            store.list_all()
            listed = time.monotonic()
        display.show(rows)
        signals.stop(stopped)

    return note


def _row(r: Round, end: Ended, attempt: int) -> Attempt:
    return Attempt(r.key, r.parent or "", end.worker, end.begin, end.end, attempt, end.exit)


def _failure(schedule: Schedule, outputs: Path, key: str) -> LthError:
    path, after = log_path(outputs, key), len(schedule.after(key))
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    why = next((line.removeprefix("lth: ") for line in reversed(lines) if line.startswith("lth: ")), "its worker died.")
    error = LthError(f"{schedule.rounds[key].title} ({key}) failed, {after} rounds after it were not trained: {why} Log: {path}")
    error.exit_code = 2 if schedule.failed[key] == 2 else 1
    return error


def finish(experiments: Sequence[Experiment]) -> list[list[Record]]:
    """Return the records of each experiment's finished rounds; draw their chains for TensorBoard."""
    results = []
    for experiment in experiments:
        store, specs = Store(Path(experiment.config.outputs)), experiment.rounds()
        found = [record for spec in specs if (record := store.read(spec.key)) is not None]
        if experiment.config.logger.name == "tensorboard":
            for record in found:
                chains.enter(store.outputs, specs[depth(experiment.config.prune)], record)
        results.append(found)
    return results


def outline(experiments: Sequence[Experiment]) -> str:
    """Return what a sweep would train: how many rounds, the critical path, and how long they take on some numbers of workers."""
    outputs = _outputs(experiments)
    rounds, asked = unite(experiments)
    records = read(outputs).records
    cost, measured = costs(rounds, records)
    finished = {record.key for record in records} & {r.key for r in rounds}
    rest = [r for r in rounds if r.key not in finished]
    longest = max(paths(rest, cost).values(), default=0.0)
    text = duration if measured else lambda epochs: f"{epochs:g} epochs"
    times = ", ".join(f"{n}: {text(makespan(rounds, finished, cost, n))}" for n in WORKERS)
    basis = f"from {measured} finished rounds" if measured else "no round is finished here, so epochs stand for time"
    return "\n".join(
        [
            f"rounds         {asked} asked for by {len(experiments)} experiments, {asked - len(rounds)} of them shared; "
            f"{len(finished)} finished, {len(rest)} to train",
            f"critical path  {text(longest)} in {_depth(rest)} rounds",
            f"workers        {times} ({basis})",
        ]
    )


def _depth(rounds: Sequence[Round]) -> int:
    return int(max(paths(rounds, {r.key: 1 for r in rounds}).values(), default=0))
