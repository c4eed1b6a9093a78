"""The search for a winning ticket: iterative magnitude pruning over a tree of finished rounds.

Imports no torch until there is a round to train.
"""

from lth.config import Config, Score
from lth.data import overview
from lth.training import device
from lth.training.experiment import Experiment, ImageExperiment, Say
from lth.training.turns import Turns
from lth.tree.record import Record
from lth.tree.spec import depth


def rounds(experiment: Experiment, say: Say = print, job: str = "") -> list[Record]:
    """Return the records of an experiment's rounds, parents first; finished ones are read, missing ones trained.

    Strategy 1 of the paper (Frankle & Carbin 2019, section 2 and appendix B). A round here begins with steps 3 and 4, applied to
    its parent's trained network, and ends with step 2:

    1. Initialise a network at random.                          ``task`` does; round 0 starts from it.
    2. Train it to the end.                                     ``fit.fit``
    3. Prune a fraction of its remaining weights.               ``start.plan``
    4. Rewind what remains to the values of step 1.             ``start.plan``
    5. Repeat from 2.                                           The next round has this one as its parent.

    Args:
        say: prints a line.
        job: what stands before the rounds in the display of progress, such as ``job 2, ``.
    """
    task, records = None, []
    turns = Turns(experiment, say, job)  # each round is trained by one process
    for spec in turns.specs:
        with turns.of(spec) as record:
            if record is None:
                from lth.training.round import run  # costs seconds: torch and Lightning

                task = task or experiment.task(say)
                record = turns.trained(spec, run(task, turns.store, spec, turns.title(spec), turns.remaining))
        turns.enter(record)
        records.append(record)
    return records


def search(config: Config, say: Say = print, job: str = "") -> list[Record]:
    """Return the records of an experiment on images: dense network first, then tickets, controls last.

    Args:
        say, job: see ``rounds``.

    Raises:
        UsageError: a key is not accepted.
        DataError: images, weights or the files of a finished round cannot be used.
    """
    experiment = ImageExperiment.of(config)
    if device.is_first():
        overview.tell(experiment.splits, config.data, say)
    return rounds(experiment, say, job)


def score(config: Config, records: list[Record]) -> float:
    """Return what a sweeper optimises, by ``score.name``: validation accuracy at early stop of the last ticket, or ``sparsest``.

    Controls do not count, nor do the test images, which select nothing.
    """
    dense, *tickets = records[: depth(config.prune) + 1]
    if config.score.name == "sparsest":
        return sparsest(dense, tickets, config.score)
    return (tickets or [dense])[-1].early_stop_val_acc


def sparsest(dense: Record, tickets: list[Record], wanted: Score) -> float:
    """Return the sparsity, in [0, 1), of the sparsest ticket that is good enough by its validation accuracy at early stop.

    Good enough is at most ``wanted.within`` below the dense network, and ``wanted.at_least``. Where none is, the result is minus
    what the best one lacks, so that a sampler sees which way is better; 0 where there are no tickets.
    """
    needed = max(dense.early_stop_val_acc - wanted.within, wanted.at_least) - 1e-9  # rounding of the difference refuses no ticket
    enough = [1 - ticket.density for ticket in tickets if ticket.early_stop_val_acc >= needed]
    return max(enough or [ticket.early_stop_val_acc - needed for ticket in tickets], default=0.0)
