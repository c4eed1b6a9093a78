"""What a search trains: a network, its data and how they are scored. ``images`` and ``own`` make the two kinds."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lth.config import Config
from lth.data.split import Splits
from lth.errors import UsageError
from lth.invariants import checks
from lth.pruning import criteria
from lth.pruning import masks as M
from lth.pruning.channels import Group, Keep
from lth.training.device import Device
from lth.tree.checkpoint import Checkpoint

State = dict[str, Tensor]


def tensors(network: nn.Module) -> State:
    """Return the tensors of a network's state_dict; what else ``get_extra_state`` puts there is neither rewound nor written."""
    return {name: t for name, t in network.state_dict().items() if isinstance(t, Tensor)}


def copied(network: nn.Module, without: Collection[str] = ()) -> State:
    """Return copies of these tensors on the CPU, but of those named in ``without``."""
    return {name: t.detach().cpu().clone() for name, t in tensors(network).items() if name not in without}


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


class Task(ABC):
    """What the rounds of a search have in common; a task survives from round to round in a process.

    Args:
        config: of the search.
        network: the module whose state_dict the rounds hold.
        target: its name in the LightningModule; empty: the LightningModule itself.
        device: what trains it.
        names: of the metrics.
    """

    options: Mapping[str, Any] = {}  # arguments of pl.Trainer, beside those that the configuration gives
    zero_stays = False  # whether the optimisers leave pruned weights at zero, see ``LotteryTicket``
    tests = True  # whether there is a test part
    splits: Splits | None = None  # of images
    criterion: criteria.Function | None = None  # in place of the one that the configuration names
    steps_per_epoch: int | None = None  # None where only training tells; it then goes on from the end of an epoch alone
    images_per_step: float | None = None  # on average

    def __init__(self, config: Config, network: nn.Module, target: str, device: Device, names: Names) -> None:
        self.config, self.network, self.target, self.device, self.names = config, network, target, device, names
        self.initial = copied(network)
        self.shapes = checks.shapes_of(network.state_dict(), network)

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network with newly drawn weights."""

    @abstractmethod
    def modules(
        self, seed: int, checkpoint: Checkpoint, epochs: int, constant_rate: bool
    ) -> tuple[pl.LightningModule, pl.LightningDataModule, float | None]:
        """Return what trains the network as it is now, the data, and the first learning rate (None: any).

        Args:
            seed: of data order and augmentation.
            checkpoint: where training starts.
            epochs: of the whole schedule.
            constant_rate: whether it trains at the schedule's last learning rate throughout.
        """

    @abstractmethod
    def prunable(self, *, dense: bool = False) -> list[str]:
        """Return the names of the weights that are pruned; ``dense``: of all that round 0 has masks of."""

    @abstractmethod
    def facts(self, masks: M.Masks) -> dict[str, Any]:
        """Return the fields of a record that describe the network with these masks and the data."""

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
        torch.manual_seed(seed)
        state = copied(self.build())
        return {name: state[name] for name in self.trained()}

    def rewind_(self, weights: State, masks: M.Masks) -> None:
        """Set the network to ``weights`` x ``masks``, and prepare what depends on its frozen weights."""
        M.rewind_(self.network, weights, masks)

    def groups(self) -> Sequence[Group]:
        """Return the groups of coupled channels whose weights are all pruned. Raises UsageError where there are none."""
        raise UsageError(
            f"prune.structure={self.config.prune.structure} is not accepted with a module of your own: it takes weights or n:m; "
            "model=custom takes a network whose channels can be pruned."
        )

    def without(self, groups: Sequence[Group], keep: Keep) -> "Task":
        """Return a task that trains a copy of the network without the channels that are not kept."""
        raise NotImplementedError

    def flops(self, masks: M.Masks) -> float:
        """Return the FLOPs of one input that are left with masks."""
        raise NotImplementedError

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return the inputs and labels that SNIP and GraSP score on."""
        raise NotImplementedError

    def input_shape(self) -> tuple[int, ...] | None:
        """Return the shape of one input; None where it is not known."""
        return None

    def tested(self, module: pl.LightningModule) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return what the last test of ``module`` gives: fields of a record, the predicted class of each test image (or None)."""
        return {}, None

    def line(self, one: State) -> dict[str, Any] | None:
        """Return the errors on the line from ``one`` to the network as it is; None where lth cannot measure them."""
        return None
