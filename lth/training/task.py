"""What a search trains: a network, its data and how they are scored. ``images`` and ``own`` make the two kinds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch import Tensor, nn

from lth.data.split import Splits
from lth.errors import UsageError
from lth.invariants import checks
from lth.pruning import criteria
from lth.pruning import masks as M
from lth.training.device import Device
from lth.tree.checkpoint import Checkpoint

State = dict[str, Tensor]


def tensors(network: nn.Module) -> State:
    """Return the tensors of a network's state_dict; what else ``get_extra_state`` puts there is neither rewound nor written."""
    return {name: t for name, t in network.state_dict().items() if isinstance(t, Tensor)}


@dataclass(frozen=True)
class Names:
    """Names of the metrics that a module logs; of the score, larger is better."""

    loss: str = "val/loss"
    score: str = "val/acc"

    def of(self, logged: Mapping[str, Any], name: str) -> float:
        """Return a logged metric. Raises UsageError where there is none of this name."""
        if name not in logged:
            raise UsageError(f"{name} is not accepted as a metric: the module logs {', '.join(logged) or 'nothing'}.")
        return float(logged[name])

    @property
    def short(self) -> str:
        """The score without its part: ``acc`` of ``val/acc``."""
        return self.score.removeprefix("val/").removeprefix("val_")

    @property
    def test(self) -> str:
        """The score of the test part: ``test/acc`` of ``val/acc``, ``test_r2`` of ``val_r2``."""
        return f"test{self.score[3:]}" if self.score != self.short else f"test/{self.score}"


@dataclass(frozen=True)
class Fit:
    """What one fit needs, made for it.

    Args:
        module, data: the LightningModule and its data.
        first_rate: the learning rate that training is to start at; None: not checked.
        options: arguments of ``pl.Trainer``.
    """

    module: pl.LightningModule
    data: pl.LightningDataModule
    first_rate: float | None = None
    options: dict[str, Any] = field(default_factory=dict)


class Task(ABC):
    """What the rounds of a search have in common; a task survives from round to round in a process.

    Args:
        network: the module whose state_dict the rounds hold.
        target: its name in the LightningModule; empty: the LightningModule itself.
        device: what trains it.
        names: of the metrics.
    """

    mid_epoch = False  # whether a training can go on from the middle of an epoch
    seeds_everything = True  # whether each epoch seeds Python and numpy, too
    restores_schedules = True  # whether learning-rate schedules go on from a checkpoint's; else ``fit`` makes them begin there
    tests = True  # whether there is a test part
    splits: Splits | None = None  # of images
    criterion: criteria.Function | None = None  # in place of the one that the configuration names
    criterion_inputs = ("weights", "seed")  # that the criterion may read, see ``criteria.prune``
    steps_per_epoch: int | None = None  # optimiser steps; None where only training tells
    images_per_step: float | None = None  # on average

    def __init__(self, network: nn.Module, target: str, device: Device, names: Names) -> None:
        self.network, self.target, self.device, self.names = network, target, device, names
        self.initial = {name: t.detach().cpu().clone() for name, t in tensors(network).items()}
        self.shapes = checks.shapes_of(network.state_dict(), network)

    @abstractmethod
    def fit(self, seed: int, checkpoint: Checkpoint, total: int | None, constant_rate: bool) -> Fit:
        """Make what a fit needs, of the network as it is now.

        Args:
            seed: of data order and augmentation.
            checkpoint: where training starts.
            total: optimiser steps of the whole schedule.
            constant_rate: whether it trains at the schedule's last learning rate throughout.
        """

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with newly drawn weights."""

    @abstractmethod
    def prunable(self, *, dense: bool = False) -> list[str]:
        """Return the names of the weights that are pruned; ``dense``: of all that round 0 has masks of."""

    def head_weights(self) -> list[str]:
        """Return the names of the head's prunable weights, for ``prune.head_rate``."""
        return []

    def trained(self) -> list[str]:
        """Return the names of the parameters that are trained, and of the buffers of their modules."""
        modules = [(n, m) for n, m in self.network.named_modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
        buffers = {f"{n}.{k}" if n else k for n, m in modules for k, _ in m.named_buffers(recurse=False)}
        names = buffers | {n for n, p in self.network.named_parameters() if p.requires_grad}
        return sorted(names & self.initial.keys())

    def redraw(self, seed: int) -> State:
        """Return newly drawn values of all that is trained."""
        import torch

        torch.manual_seed(seed)
        state = self.build().state_dict()
        return {name: state[name].detach().cpu().clone() for name in self.trained()}

    def rewind_(self, weights: State, masks: M.Masks) -> None:
        """Set the network to ``weights`` x ``masks``, and prepare what depends on its frozen weights."""
        M.rewind_(self.network, weights, masks)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels that SNIP and GraSP score on."""
        raise NotImplementedError

    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one input; None where it is not known."""
        return None

    def facts(self, masks: M.Masks) -> dict[str, Any]:
        """Return the fields of a record that describe the network with these masks and the data."""
        return {}

    def test_facts(self, module: pl.LightningModule) -> dict[str, Any]:
        """Return the fields of a record that the last test of ``module`` gives."""
        return {}

    def predicted(self, module: pl.LightningModule) -> np.ndarray | None:
        """Return the class predicted for each test image in the last test, int64 (n,); None where there is none."""
        return None

    def line(self, one: State) -> dict[str, Any] | None:
        """Return the errors on the line from ``one`` to the network as it is; None where lth cannot measure them."""
        return None
