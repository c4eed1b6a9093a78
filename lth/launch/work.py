"""One round of an experiment, trained in this process: what every engine runs on its workers.

``python -m lth.launch.work FILE KEY`` is the same for a round on several devices, whose other ranks Lightning starts by
repeating the command.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from lth.cli import command, signals
from lth.errors import Interrupted, LthError
from lth.launch import sent
from lth.launch.schedule import BUSY, CRASHED, FINISHED, INTERRUPTED
from lth.tracking.remaining import Remaining
from lth.training import device
from lth.training.experiment import Experiment
from lth.training.turns import summary
from lth.tree.spec import depth
from lth.tree.store import Store

LOG = "log.txt"  # in a finished round's folder


def log_path(outputs: str | Path, key: str) -> Path:
    """Return the file that a round's output is written to while it is trained."""
    return Path(outputs) / "logs" / f"{key}.txt"


def work(experiment: Experiment, key: str) -> int:
    """Train a round whose parent is finished, unless it is finished or another process trains it; return an exit code.

    Returns:
        0: it is finished. 69: another process trains it. 70: an error that nobody foresaw. 75: a signal asked to stop, and the
        training is saved. 1 or 2: what an ``LthError`` says. Errors are printed into the round's log.
    """
    store, path = Store(Path(experiment.config.outputs)), log_path(experiment.config.outputs, key)
    if store.read(key) is not None:
        return FINISHED
    try:
        held = store.lock(key).acquire(blocking=False)
    except Timeout:
        return BUSY
    with held, logged(path):
        try:
            if store.read(key) is None:
                _train(experiment, key, store)
        except Exception as error:
            code = command.report(error)
            return INTERRUPTED if isinstance(error, Interrupted) else code if isinstance(error, LthError) else CRASHED
        if (log := store.folder(key) / LOG) and not log.exists():
            os.replace(path, log)
        store.checkpoint(key).unlink(missing_ok=True)
    return FINISHED


def _train(experiment: Experiment, key: str, store: Store) -> None:
    if experiment.config.trainer.devices > 1:
        _train_on_several(experiment, key)
        return
    signals.listen()
    _run(experiment, key, store)


def _run(experiment: Experiment, key: str, store: Store) -> None:
    from lth.training.round import run

    spec, last = next(spec for spec in experiment.rounds() if spec.key == key), depth(experiment.config.prune)
    record = run(experiment.task(print), store, spec, f"round {spec.index}/{last}", Remaining(spec.epochs))
    if record:
        print(summary(record, last))


def _train_on_several(experiment: Experiment, key: str) -> None:
    """Train in a command of its own, which Lightning repeats for the other ranks; pass on signals."""
    with tempfile.TemporaryDirectory() as folder:
        path = sent.write(experiment, Path(folder))
        line = [sys.executable, "-m", "lth.launch.work", str(path), key]
        child = subprocess.Popen(line, start_new_session=True, env=os.environ | {"LTH_COMMAND": shlex.join(sys.argv[1:])})
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(name, lambda number, frame: os.killpg(child.pid, number))
        if code := child.wait():
            error = LthError(f"the ranks of this round ended with exit code {code}.")
            error.exit_code = code if code in (1, 2) else CRASHED
            raise error


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Append all that this process prints, and what it starts, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush(), sys.stderr.flush()
    before = os.dup(1), os.dup(2)
    with open(path, "ab") as file:
        os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        for number, old in enumerate(before, start=1):
            os.dup2(old, number)
            os.close(old)


def main() -> int:
    """Train the round that the command line names on several devices; return an exit code."""
    path, key = sys.argv[1:]
    experiment = sent.read(Path(path))
    try:
        _run(experiment, key, Store(Path(experiment.config.outputs)))
    except LthError as error:
        return command.report(error) if device.is_first() else 1
    return FINISHED


if __name__ == "__main__":
    sys.exit(main())
