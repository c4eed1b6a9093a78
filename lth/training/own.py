"""The task of ``lth.search``: a LightningModule and data of one's own."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from typing_extensions import override

from lth.config import Config
from lth.errors import UsageError, notice_once
from lth.hashes import of_json, of_tensors
from lth.pruning import criteria, selection
from lth.pruning import masks as M
from lth.seeds import stream
from lth.training import device
from lth.training.experiment import Experiment, Say
from lth.training.start import require_weights
from lth.training.task import Names, State, Task
from lth.tree.checkpoint import Checkpoint
from lth.tree.spec import Spec, own_chain

NO_EFFECT = {"accelerator", "profiler", "log_every_n_steps", "default_root_dir", "plugins", "benchmark"}  # on a round's result


class OwnTask(Task):
    """A LightningModule and a LightningDataModule of one's own.

    Args:
        make: returns the LightningModule; it is called after seeding, once for each round.
        data: batches for training and validation, and for the test where it has any.
        parameters, head: see ``LotteryTicket``.
        options: further arguments of ``pl.Trainer``.
        criterion: a function in place of the criterion that ``config`` names.
    """

    def __init__(
        self, config: Config, make: Callable[[], pl.LightningModule], data: pl.LightningDataModule, resolved: device.Device,
        names: Names, parameters: selection.Choice | None, head: bool | str, options: dict[str, Any],
        criterion: criteria.Function | None,
    ) -> None:  # fmt: skip
        self.make, self.data, self.options, self.criterion = make, data, options, criterion
        torch.manual_seed(stream("initialisation", config.seed))
        super().__init__(config, self.build(), "", resolved, names)
        self.names_of_prunable = list(selection.select(self.network, parameters, head))
        self.tests = (
            is_overridden("test_step", self.network) and type(data).test_dataloader is not pl.LightningDataModule.test_dataloader
        )
        if not self.tests:
            notice_once(f"there is no test part: columns of the test hold {names.score}, which also selected early stop.")

    @override
    def build(self) -> pl.LightningModule:
        module = self.make()
        if not isinstance(module, pl.LightningModule):
            raise UsageError(f"model returned {type(module).__name__}; it takes a function that returns a LightningModule.")
        return module

    @override
    def modules(
        self, seed: int, checkpoint: Checkpoint, epochs: int, constant_rate: bool
    ) -> tuple[pl.LightningModule, pl.LightningDataModule, float | None]:
        return self.network, self.data, None

    @override
    def rewind_(self, weights: State, masks: M.Masks) -> None:
        torch.manual_seed(0)
        self.network = self.build()  # a fresh module: what it holds besides its state_dict is that of a new one
        super().rewind_(weights, masks)

    @override
    def prunable(self, *, dense: bool = False) -> list[str]:
        return self.names_of_prunable

    @override
    def facts(self, masks: M.Masks) -> dict[str, Any]:
        parameters = sum(p.numel() for p in self.network.parameters())
        pruned = M.size(masks) - M.kept(masks)
        return {
            "data": type(self.data).__name__,
            "parameters": parameters,
            "model_density": (parameters - pruned) / parameters,
        }

    def identity(self, version: str, data_version: str) -> dict[str, Any]:
        """Return what identifies the module, its data and its training in keys; code is covered by ``version`` alone."""
        own = {
            "name": self.config.model.name,
            "version": version,
            "data": {"name": type(self.data).__name__, "version": data_version, "hparams": _plain(self.data.hparams)},
            "hparams": _plain(self.network.hparams),
            "shapes": of_json({name: list(t.shape) for name, t in self.initial.items()})[:16],
            "prunable": of_json(self.names_of_prunable)[:16],
            "metrics": [self.names.loss, self.names.score],
            "trainer": _plain({name: value for name, value in self.options.items() if name not in NO_EFFECT}),
        }
        return own | ({"precision": self.device.precision} if self.device.precision != "32-true" else {})


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; what it cannot hold, as the name of its type or function."""

    def other(value: Any) -> Any:
        return dict(value.items()) if hasattr(value, "items") else getattr(value, "__qualname__", type(value).__qualname__)

    return json.loads(json.dumps(value, default=other))


@dataclass(frozen=True)
class OwnExperiment(Experiment):
    """A search with a module and data of one's own; see ``lth.search`` for the fields, ``OwnTask`` for some of them."""

    config: Config
    make: Callable[[], pl.LightningModule]
    data: pl.LightningDataModule
    device: device.Device
    names: Names
    version: str = ""
    data_version: str = ""
    parameters: selection.Choice | None = None
    head: bool | str = True
    options: dict[str, Any] = field(default_factory=dict)
    criterion: criteria.Function | None = None

    @cached_property
    def _task(self) -> OwnTask:
        device.prepare(bool(self.options.get("deterministic")))
        task = OwnTask(
            self.config, self.make, self.data, self.device, self.names, self.parameters, self.head, self.options, self.criterion
        )
        require_weights(task)
        return task

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_task"}  # another process makes its own

    @override
    def task(self, say: Say) -> Task:
        return self._task

    @override
    def tickets(self) -> list[Spec]:
        function = getattr(self.criterion, "__qualname__", "") if self.criterion else None  # by which keys know it
        identity = self._task.identity(self.version, self.data_version)
        return own_chain(self.config, identity, of_tensors(self._task.initial)[:16], function)
