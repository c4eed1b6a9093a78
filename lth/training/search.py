"""The search for a winning ticket: iterative magnitude pruning over a tree of finished rounds.

Imports no torch until there is a round to train.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lth.cli import signals
from lth.config import Config, require
from lth.data import overview, sources
from lth.data.split import Splits, prepare
from lth.hashes import of_file
from lth.models import weights as pretrained
from lth.tracking import loggers
from lth.training import device
from lth.training.turns import Turns
from lth.tree.record import Record
from lth.tree.spec import Spec, chain, controls, depth
from lth.tree.store import Store

if TYPE_CHECKING:
    from lth.training.round import Search


def rounds(specs: list[Spec], begin: "Callable[[], Search]", turns: Turns) -> list[Record]:
    """Return the records of rounds, parents first; finished ones are read, missing ones trained.

    Strategy 1 of the paper (Frankle & Carbin 2019, section 2 and appendix B). A round here begins with steps 3 and 4, applied to
    its parent's trained network, and ends with step 2:

    1. Initialise a network at random.                          ``begin`` makes it; round 0 starts from it.
    2. Train it to the end.                                     ``round.train``
    3. Prune a fraction of its remaining weights.               ``start.plan``
    4. Rewind what remains to the values of step 1.             ``start.plan``
    5. Repeat from 2.                                           The next spec has this one as its parent.

    Args:
        begin: makes what the rounds share, once, when there is a round to train.
        turns: sees that each round is trained by one process, and tells how far the search is.
    """
    search, records = None, []
    for spec in specs:
        record = turns.finished(spec)
        if record is None:
            with turns.of(spec) as record:
                if record is None:
                    from lth.training.round import run

                    search = search or begin()
                    record = turns.trained(spec, run(search, spec, turns.title(spec), turns.remaining))
        turns.enter(record)
        records.append(record)
    return records


def search(config: Config, say: Callable[[str], None] = print, job: str = "") -> list[Record]:
    """Return the records of an experiment on images: dense network first, then tickets, controls last.

    Args:
        say: prints a line.
        job: what stands before the rounds in the display of progress, such as ``job 2/6, ``.

    Raises:
        UsageError: a key is not accepted.
        DataError: images, weights or the files of a finished round cannot be used.
    """
    loggers.require(config.logger.name)
    require_folder("outputs", config.outputs)
    require_folder("data.cache", config.data.cache)
    sources.require(config.data)
    weights = pretrained.locate(config.model)
    resolved = device.resolve(config.trainer)
    splits = prepare(config.data, before=partial(_check, config, weights))
    store = Store(Path(config.outputs))
    specs = chain(config, splits.hash, resolved.precision, of_file(weights)[:16] if weights else None, splits.drawn)
    if device.is_first():
        overview.tell(splits, config.data, say)
    turns = Turns(store, specs, controls(config.prune, specs), config.logger.name, say, job)
    return rounds(turns.specs, partial(_begin, config, splits, resolved, weights, store, say), turns)


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


def _check(config: Config, weights: Path | None) -> None:
    """Raise what building the network would, before images are decoded, which takes longer."""
    from lth.models.build import check

    check(config, weights)


def _begin(
    config: Config, splits: Splits, resolved: device.Device, weights: Path | None, store: Store, say: Callable[[str], None]
) -> "Search":
    from lth.training.images import ImageTask  # costs seconds: torch and Lightning
    from lth.training.round import Search
    from lth.training.start import require_weights

    device.prepare(config.trainer.deterministic)
    signals.stop("all finished rounds are kept")
    task = ImageTask(config, splits, resolved, weights, say)
    require_weights(task, config.prune)
    return Search(config, task, store)
