"""The search for a winning ticket: iterative magnitude pruning over a tree of finished rounds.

Imports no torch until there is a round to train.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from lth.cli import signals
from lth.config import Config, require
from lth.data import overview, sources
from lth.data.split import prepare
from lth.errors import notice_once
from lth.models import weights as pretrained
from lth.tracking import loggers
from lth.tracking.chains import Experiment
from lth.tracking.remaining import Outlook
from lth.training import device
from lth.tree.spec import chain, controls, depth
from lth.tree.store import Store


def search(config: Config, say: Callable[[str], None] = print, job: str = "") -> list[dict[str, Any]]:
    """The records of an experiment's rounds, dense network first, controls last; finished ones are read, missing ones trained.

    Strategy 1 of the paper (Frankle & Carbin 2019, section 2 and appendix B):

    1. initialise a network at random;                           round 0 of ``chain``
    2. train it to the end;                                      ``Lab.train``
    3. prune the fraction ``rate`` of its remaining weights;     ``Maker.make``
    4. rewind what is left to its values of step 1;              ``LotteryTicket``
    5. repeat from 2.                                            the next spec of ``chain``

    Args:
        job: what stands before the rounds in the display of progress, such as ``job 2/6, ``.
    """
    loggers.require(config.logger.name)
    _require_folder("outputs", config.outputs)
    _require_folder("data.cache", config.data.cache)
    sources.require(config.data)
    pretrained.require(config.model)
    resolved = device.resolve(config.trainer)
    weights = pretrained.locate(config.model)
    store, splits = Store(Path(config.outputs)), prepare(config.data, partial(_check, config, weights))
    if device.is_first():
        store.tidy()
        _old(store)
        overview.tell(splits, config.data, say)
    specs = chain(config, splits.hash, resolved.precision, pretrained.digest(weights), splits.drawn)
    last, lab, records = len(specs) - 1, None, []
    wanted = [*specs, *controls(config, specs)]
    there = [store.read(spec.key) for spec in wanted]
    outlook = Outlook(sum(spec.epochs for spec, record in zip(wanted, there) if record is None))
    experiment = Experiment(config, specs, store) if config.logger.name == "tensorboard" and device.is_first() else None
    for spec, record in zip(wanted, there):
        if record is None:
            signals.stop("all finished rounds are kept")
            with store.locked(spec.key, say) if device.is_first() else nullcontext():
                record = store.read(spec.key)  # another process may have trained it while we waited
                if record is None:
                    if lab is None:
                        if device.is_first():
                            store.look()
                        lab = _lab(config, splits, resolved, store, weights, say)
                    record = lab.train(spec, f"{job}round {spec.index}/{last}", outlook) or store.wait_for(spec.key)
                    say(summary(record, last))
                    outlook.trained(spec.epochs)
                else:
                    outlook.found(spec.epochs)
        store.enter(record)
        if experiment:
            experiment.enter(record)
        records.append(record)
    return records


def score(config: Config, records: list[dict[str, Any]]) -> float:
    """What a sweeper optimises: validation accuracy at early stop of the sparsest ticket of a search.

    Controls do not count, nor do the test images, which select nothing.
    """
    return records[depth(config.prune)]["early_stop_val_acc"]


def _old(store: Store) -> None:
    if count := store.old():
        what = f"{count} finished {'round is' if count == 1 else 'rounds are'} of the round format 1 of an earlier lth"
        notice_once(f"{store.outputs}: {what}, which drew its random numbers otherwise; they stay as they are and are not used.")


def _require_folder(key: str, value: str) -> None:
    path = Path(value).absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    require(there.is_dir(), key, value, f"a folder, and {there} is none")


def _check(config: Config, weights: Path | None) -> None:
    """Raise what building the network would, before images are decoded, which takes longer."""
    from lth.models.build import check

    check(config, weights)


def _lab(*args: Any) -> Any:
    from lth.training.round import Lab  # costs seconds: torch and Lightning

    return Lab(*args)


def summary(record: dict[str, Any], last: int) -> str:
    """One line on a finished round."""
    what = f"round {record['round']}/{last}" + (f" {record['control']}" if record["control"] else "")
    where = "the last iteration, so it may lie beyond" if record["censored"] else f"iteration {record['early_stop_iteration']}"
    line = (
        f"{what}: {record['density']:6.1%} of weights, test acc {record['early_stop_test_acc']:.3f} at early stop ({where}), "
        f"{record['test_acc']:.3f} at the end, {record['seconds']:.1f} s"
    )
    collapsed = record["checks"]["layer_collapse"]["collapsed"]
    return f"{line}\nwarning: no weight is left in {', '.join(collapsed)} (layer collapse)" if collapsed else line
