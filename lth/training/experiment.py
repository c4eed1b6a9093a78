"""What a search trains, known before anything is trained. Imports no torch until ``task``; can be sent to another process."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lth.config import Config, require
from lth.data import sources
from lth.data.split import Splits, prepare
from lth.hashes import of_file
from lth.models import weights as pretrained
from lth.tracking import loggers
from lth.training import device
from lth.training.device import Device
from lth.tree import origin as origins
from lth.tree.record import Record
from lth.tree.spec import Spec, chain, controls

if TYPE_CHECKING:
    from lth.training.task import Task

Say = Callable[[str], None]  # prints a line


class Experiment(ABC):
    """One search: its configuration, and with it the rounds that it asks for."""

    config: Config

    @abstractmethod
    def tickets(self) -> list[Spec]:
        """Return the rounds of the chain, the dense network first."""

    @abstractmethod
    def task(self, say: Say) -> "Task":
        """Return what is trained. Raises UsageError where rounds that are asked for would prune nothing, or everything."""

    def rounds(self) -> list[Spec]:
        """Return all rounds, parents first, controls last."""
        return [*(tickets := self.tickets()), *controls(self.config.prune, tickets)]


@dataclass(frozen=True)
class ImageExperiment(Experiment):
    """A search on images, as the commands make it."""

    config: Config
    splits: Splits
    device: Device
    weights: Path | None  # file of the pretrained weights
    weights_hash: str | None
    origin: Record | None = None  # the round that ``prune.ticket`` names, by its folder

    @classmethod
    def of(cls, config: Config, known: dict[str, Splits] | None = None) -> Self:
        """Prepare the images of an experiment.

        Args:
            known: by their configuration, images that were prepared before; new ones are added.

        Raises:
            UsageError: a key is not accepted.
            DataError: images or weights cannot be used.
        """

        def check() -> None:
            """Raise what building the network would, before images are decoded, which takes longer."""
            from lth.models import build

            build.check(config, weights)

        loggers.require(config.logger.name)
        require_folder("outputs", config.outputs)
        require_folder("data.cache", config.data.cache)
        sources.require(config.data)
        weights, resolved = pretrained.locate(config.model), device.resolve(config.trainer)
        if found := origins.find(config):
            config = replace(config, prune=replace(config.prune, ticket=str(found.folder)))
        known, name = {} if known is None else known, repr(config.data)
        if name not in known:
            known[name] = prepare(config.data, before=check)
        return cls(config, known[name], resolved, weights, of_file(weights)[:16] if weights else None, found)

    def tickets(self) -> list[Spec]:
        of_ticket = origins.content(self.origin)
        return chain(self.config, self.splits.hash, self.device.precision, self.weights_hash, self.splits.drawn, of_ticket)

    def task(self, say: Say) -> "Task":
        from lth.training.images import ImageTask
        from lth.training.start import require_weights

        device.prepare(self.config.trainer.deterministic)
        task = ImageTask(self.config, self.splits, self.device, self.weights, say)
        require_weights(task)
        return task


def require_folder(key: str, value: str) -> None:
    """Raise UsageError where a file lies in the place of a folder."""
    path = Path(value).absolute()
    existing = next(place for place in (path, *path.parents) if place.exists())
    require(existing.is_dir(), key, value, f"a folder, and {existing} is none")
