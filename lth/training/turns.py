"""Which process trains a round, and what is said meanwhile: locks, ranks, time remaining, results.csv, TensorBoard. No torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lth.cli import signals
from lth.tracking import chains
from lth.tracking.remaining import Remaining
from lth.training import device
from lth.training.experiment import Experiment, Say
from lth.tree.record import Record
from lth.tree.spec import Spec, depth
from lth.tree.store import Store


class Turns:
    """The rounds of one search, each trained by one process of those that share the outputs folder.

    Args:
        experiment: what asks for them; with the logger ``tensorboard`` chains are drawn, too.
        say: prints a line.
        job: what stands before the rounds in the display of progress.
    """

    def __init__(self, experiment: Experiment, say: Say, job: str = "") -> None:
        config, self.specs = experiment.config, experiment.rounds()
        self.store, self.say, self.job, self.last = Store(Path(config.outputs)), say, job, depth(config.prune)
        self.first = device.is_first()
        if self.first:
            self.store.tidy()
        self.remaining = Remaining(sum(spec.epochs for spec in self.specs if self.store.read(spec.key) is None))
        self.chain_end = self.specs[self.last] if config.logger.name == "tensorboard" and self.first else None

    @contextmanager
    def of(self, spec: Spec) -> Iterator[Record | None]:
        """Yield the record of a finished round; of a missing one, hold the lock, and yield its record if that took until then.

        Raises:
            Interrupted: a signal asked to stop.
        """
        if (record := self.store.read(spec.key)) is not None:
            yield record
            return
        signals.stop("all finished rounds are kept")
        if not self.first:
            yield None
            return
        with self.store.locked(spec.key, self.say):
            if (record := self.store.read(spec.key)) is not None:
                self.remaining.total -= spec.epochs
            yield record

    def title(self, spec: Spec) -> str:
        """Return what stands before a round's density in the display of progress."""
        return f"{self.job}round {spec.index}/{self.last}"

    def trained(self, spec: Spec, record: Record | None) -> Record:
        """Note that a round was trained here; on other ranks than the first one, wait for its record."""
        record = record or self.store.wait_for(spec.key)
        self.remaining.done += spec.epochs
        self.say(summary(record, self.last))
        return record

    def enter(self, record: Record) -> None:
        """Enter a finished round into results.csv and TensorBoard."""
        if self.first:
            self.store.enter(record)
        if self.chain_end:
            chains.enter(self.store.outputs, self.chain_end, record)


def summary(record: Record, last: int) -> str:
    """Return one line on a finished round, and a warning where layers collapsed."""
    name = f"round {record.round}/{last}" + (f" {record.control}" if record.control else "")
    where = "the last iteration, so it may lie beyond" if record.censored else f"iteration {record.early_stop_iteration}"
    line = (
        f"{name}: {record.density:6.1%} of weights, test {record.score} {record.early_stop_test_acc:.3f} at early stop "
        f"({where}), {record.test_acc:.3f} at the end, {record.seconds:.1f} s"
    )
    collapsed = record.checks["layer_collapse"]["collapsed"]
    return f"{line}\nwarning: no weight is left in {', '.join(collapsed)} (layer collapse)" if collapsed else line
