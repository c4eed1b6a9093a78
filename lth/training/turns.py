"""Which process trains a round, and what is said meanwhile: locks, ranks, time remaining, results.csv, TensorBoard. No torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lth.cli import signals
from lth.tracking import chains
from lth.tracking.remaining import Remaining
from lth.training import device
from lth.tree.record import Record
from lth.tree.spec import Spec
from lth.tree.store import Store

SAFE = "all finished rounds are kept"


class Turns:
    """The rounds of one search, each trained by one process of those that share the outputs folder.

    Args:
        tickets, controls: the rounds that are asked for.
        logger: name of the logger; ``tensorboard`` draws chains, too.
        say: prints a line.
        job: what stands before the rounds in the display of progress.
    """

    def __init__(
        self, store: Store, tickets: list[Spec], controls: list[Spec], logger: str, say: Callable[[str], None], job: str = ""
    ) -> None:
        self.store, self.say, self.job, self.last = store, say, job, len(tickets) - 1
        self.specs = [*tickets, *controls]
        self.first = device.is_first()
        if self.first:
            store.tidy()
        missing = [spec for spec in self.specs if self.finished(spec) is None]
        self.remaining = Remaining(sum(spec.epochs for spec in missing))
        self.chain_end = tickets[-1] if logger == "tensorboard" and self.first else None

    def finished(self, spec: Spec) -> Record | None:
        """Return the record of a round if it is finished."""
        return self.store.read(spec.key)

    @contextmanager
    def of(self, spec: Spec) -> Iterator[Record | None]:
        """Hold the lock of a round; yields its record where another process has trained it meanwhile.

        Raises:
            Interrupted: a signal asked to stop.
        """
        signals.stop(SAFE)
        if not self.first:
            yield None
            return
        with self.store.locked(spec.key, self.say):
            record = self.store.read(spec.key)
            if record is not None:
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
