"""A point of a training: everything that going on from there needs, so that it goes on to the same bits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lth.errors import DataError, UsageError
from lth.pruning import masks as M
from lth.tree import checkpoint as checkpoints
from lth.tree import files

State = dict[str, Tensor]
PARTS = ("state", "moments", "generators", "scaler")
COUNTS = {"growth_interval", "_growth_tracker"}  # of a loss scaler's state; the rest are factors


@dataclass(frozen=True)
class Point:
    """The training after ``step`` optimiser steps.

    ``state``: every tensor of the network's state_dict. ``moments``: the optimiser's state, ``<parameter>/<name>``, empty
    for a fresh one. ``generators``: the states of torch's generators by device type, from which the rest of the epoch draws
    its dropout; empty at the start of an epoch, which seeds them anew. ``scaler``: the loss scaler's state, scalars; empty
    where the precision needs none.
    """

    step: int
    state: State
    moments: State = field(default_factory=dict)
    generators: State = field(default_factory=dict)
    scaler: State = field(default_factory=dict)


def steps(rewind: str, per_epoch: int, total: int) -> int:
    """The optimiser steps before the point that ``prune.rewind`` names; raises UsageError where training ends before."""
    if rewind == "init":
        return 0
    count = int(rewind[:-2]) * (per_epoch if rewind.endswith("ep") else 1)
    if count >= total:
        raise UsageError(f"prune.rewind={rewind} is not accepted: training takes {total} iterations; it takes a point before.")
    return count


def _names(network: nn.Module) -> dict[int, str]:
    return {id(p): name for name, p in network.named_parameters()}


def moments(optimizer: Optimizer, network: nn.Module) -> State:
    """A copy of the optimiser's state, by the names of the network's parameters."""
    names, found = _names(network), {}
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            tensor = value if isinstance(value, Tensor) else torch.tensor(value)
            found[f"{names[id(parameter)]}/{name}"] = tensor.detach().cpu().clone()
    return found


def masked(held: State, masks: M.Masks) -> State:
    """An optimiser's state with zeros for pruned weights; what is not of a weight's shape is passed on as it is."""
    fitting = {name: masks.get(name.rpartition("/")[0]) for name in held}
    return {n: t * fitting[n].to(t) if fitting[n] is not None and fitting[n].shape == t.shape else t for n, t in held.items()}


def pack(point: Point) -> State:
    """Its tensors under one dict's names."""
    return {f"{part}/{name}": tensor for part in PARTS for name, tensor in getattr(point, part).items()}


def unpack(tensors: State, step: int) -> Point:
    """The point that ``pack`` packed."""
    return Point(step, **{part: under(part, tensors) for part in PARTS})


def under(part: str, tensors: State) -> State:
    """The tensors whose names begin with ``part/``, without it."""
    return {name.removeprefix(f"{part}/"): tensor for name, tensor in tensors.items() if name.startswith(f"{part}/")}


def save(path: Path, point: Point) -> None:
    """Write a rewind checkpoint."""
    checkpoints.save(path, checkpoints.Checkpoint(point.step, *(getattr(point, part) for part in PARTS)))


def load(path: Path) -> Point:
    """The point that ``save`` wrote. Raises DataError where the file is damaged."""
    held = checkpoints.load(path)
    return Point(held.step, *(getattr(held, part) for part in PARTS))


def found(path: Path) -> Point | None:
    """The point that ``save`` wrote; None where there is none, or a damaged one, which is named."""
    if not path.exists():
        return None
    try:
        return load(path)
    except DataError:
        files.give_up(path, "it is computed again")
        return None


def of(trainer: pl.Trainer, pl_module: pl.LightningModule, step: int, epoch_ended: bool) -> Point:
    """Where a training is, after ``step`` steps of its schedule."""
    state = {n: t.detach().cpu().clone() for n, t in pl_module.net.state_dict().items()}
    draws = {} if epoch_ended else generators(pl_module.device)
    return Point(step, state, moments(trainer.optimizers[0], pl_module.net), draws, scaled(trainer.precision_plugin))


def generators(device: torch.device) -> State:
    """The states of the generators that a training on ``device`` draws from, by device type."""
    found = {"cpu": torch.get_rng_state()}
    return found if device.type == "cpu" else found | {device.type: torch.get_device_module(device).get_rng_state()}


def set_generators(states: State) -> None:
    """Set the generators to what ``generators`` returned."""
    for kind, state in states.items():
        if kind == "cpu":
            torch.set_rng_state(state)
        else:
            torch.get_device_module(kind).set_rng_state(state)


def scaled(precision: Any) -> State:
    """The state of the loss scaler of a precision plugin, as scalars; empty where it has none."""
    scaler = getattr(precision, "scaler", None)
    held = scaler.state_dict() if scaler is not None else {}
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in held.items()}


def set_scaler(precision: Any, state: State) -> None:
    """Give the loss scaler of a precision plugin the state that ``scaled`` returned."""
    scaler = getattr(precision, "scaler", None)
    if state and scaler is not None:
        scaler.load_state_dict({n: int(t) if n in COUNTS else float(t) for n, t in state.items()})


class Capture(pl.Callback):
    """Hands the point after ``step`` optimiser steps to ``keep``; ``begin``: the step that training begins with."""

    def __init__(self, step: int, keep: Callable[[Point], None]) -> None:
        self.step, self.keep, self.done, self.begin = step, keep, False, 0

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.begin + trainer.global_step != self.step or self.done:
            return
        self.done = True
        self.keep(of(trainer, pl_module, self.step, batch_idx + 1 == trainer.num_training_batches))


class Continue(pl.Callback):
    """Gives optimiser and loss scaler the state of a point when training starts; hyperparameters stay those of this training.

    Args:
        begin: the point; its ``state`` is not looked at, unless
        exactly: the weights are to be its, to the bit, where a pruned one may be -0, too.
    """

    def __init__(self, begin: Point, exactly: bool = False) -> None:
        self.begin, self.exactly = begin, exactly

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        trainer.fit_loop.epoch_loop._batches_that_stepped = self.begin.step  # what loggers take for the step
        if self.exactly:
            pl_module.net.load_state_dict(self.begin.state)
        if self.begin.moments:
            self._give(trainer.optimizers[0], _names(pl_module.net))
        set_scaler(trainer.precision_plugin, self.begin.scaler)

    def _give(self, optimizer: Optimizer, names: dict[int, str]) -> None:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        order = [names[id(p)] for p in params]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.begin.moments.items():
            parameter, _, kind = name.rpartition("/")
            i = order.index(parameter)
            # Fused optimisers walk through memory, so moments must lie there as their weights do.
            own = torch.empty_like(params[i].data, dtype=tensor.dtype) if tensor.shape == params[i].shape else tensor.clone()
            state.setdefault(i, {})[kind] = own.copy_(tensor)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
