"""The search for a winning ticket: iterative magnitude pruning over a tree of finished rounds.

Imports no torch until there is a round to train.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lth.config import Config, require
from lth.data import overview, sources
from lth.data.split import prepare
from lth.hashes import of_file
from lth.models import weights as pretrained
from lth.tracking import loggers
from lth.training import device
from lth.training.turns import Turns
from lth.tree.record import Record
from lth.tree.spec import chain, controls, depth
from lth.tree.store import Store

if TYPE_CHECKING:
    from lth.training.task import Task


def rounds(turns: Turns, make: "Callable[[], Task]") -> list[Record]:
    """Return the records of rounds, parents first; finished ones are read, missing ones trained.

    Strategy 1 of the paper (Frankle & Carbin 2019, section 2 and appendix B). A round here begins with steps 3 and 4, applied to
    its parent's trained network, and ends with step 2:

    1. Initialise a network at random.                          ``make`` does; round 0 starts from it.
    2. Train it to the end.                                     ``fit.fit``
    3. Prune a fraction of its remaining weights.               ``start.plan``
    4. Rewind what remains to the values of step 1.             ``start.plan``
    5. Repeat from 2.                                           The next round has this one as its parent.

    Args:
        turns: the rounds; sees that each is trained by one process, and tells how far the search is.
        make: returns what is trained; called once, when there is a round to train.
    """
    task, records = None, []
    for spec in turns.specs:
        with turns.of(spec) as record:
            if record is None:
                from lth.training.round import run  # costs seconds: torch and Lightning

                task = task or make()
                record = turns.trained(spec, run(task, turns.store, spec, turns.title(spec), turns.remaining))
        turns.enter(record)
        records.append(record)
    return records


def search(config: Config, say: Callable[[str], None] = print, job: str = "") -> list[Record]:
    """Return the records of an experiment on images: dense network first, then tickets, controls last.

    Args:
        say: prints a line.
        job: what stands before the rounds in the display of progress, such as ``job 2, ``.

    Raises:
        UsageError: a key is not accepted.
        DataError: images, weights or the files of a finished round cannot be used.
    """

    def check() -> None:
        """Raise what building the network would, before images are decoded, which takes longer."""
        from lth.models import build

        build.check(config, weights)

    def make() -> "Task":
        from lth.training.images import ImageTask
        from lth.training.start import require_weights

        device.prepare(config.trainer.deterministic)
        task = ImageTask(config, splits, resolved, weights, say)
        require_weights(task)
        return task

    loggers.require(config.logger.name)
    require_folder("outputs", config.outputs)
    require_folder("data.cache", config.data.cache)
    sources.require(config.data)
    weights = pretrained.locate(config.model)
    resolved = device.resolve(config.trainer)
    splits = prepare(config.data, before=check)
    specs = chain(config, splits.hash, resolved.precision, of_file(weights)[:16] if weights else None, splits.drawn)
    if device.is_first():
        overview.tell(splits, config.data, say)
    turns = Turns(Store(Path(config.outputs)), specs, controls(config.prune, specs), config.logger.name, say, job)
    return rounds(turns, make)


def score(config: Config, records: list[Record]) -> float:
    """Return what a sweeper optimises: validation accuracy at early stop of the sparsest ticket of a search.

    Controls do not count, nor do the test images, which select nothing.
    """
    return records[depth(config.prune)].early_stop_val_acc


def require_folder(key: str, value: str) -> None:
    """Raise UsageError where a file lies in the place of a folder."""
    path = Path(value).absolute()
    existing = next(place for place in (path, *path.parents) if place.exists())
    require(existing.is_dir(), key, value, f"a folder, and {existing} is none")
