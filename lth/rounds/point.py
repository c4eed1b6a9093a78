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
from lth.rounds import files
from lth.seals import seal
from lth.tensors import digest

State = dict[str, Tensor]


@dataclass(frozen=True)
class Point:
    """The training after ``step`` optimiser steps.

    ``state``: every tensor of the network's state_dict. ``moments``: the optimiser's state, ``<parameter>/<name>``, empty
    for a fresh one. ``draws``: the state of torch's generator, from which the rest of the epoch draws its dropout;
    None at the start of an epoch, which seeds it anew.
    """

    step: int
    state: State
    moments: State = field(default_factory=dict)
    draws: Tensor | None = None


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
    tensors = {f"state/{n}": t for n, t in point.state.items()} | {f"moments/{n}": t for n, t in point.moments.items()}
    return tensors | ({"draws": point.draws} if point.draws is not None else {})


def unpack(tensors: State, step: int) -> Point:
    """The point that ``pack`` packed."""
    state, moments = (
        {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)} for part in ("state/", "moments/")
    )
    return Point(step, state, moments, tensors.get("draws"))


def save(path: Path, point: Point) -> None:
    tensors = pack(point)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"format": "lth-point-2", "step": point.step, "name": path.name, "digest": digest(tensors)}
    files.write_tensors(path, tensors, about | {"seal": seal(about)})


def load(path: Path) -> Point:
    """The point that ``save`` wrote. Raises DataError where the file is damaged."""
    tensors, about = files.read_tensors(path)
    sealed = about.get("seal") == seal(about) and about.get("name") == path.name
    if digest(tensors) != about.get("digest") or not (sealed or about.get("format") == "lth-point-1"):
        raise DataError(f"{path} does not match its hash; delete it, and it is computed again.")
    return unpack(tensors, about["step"])


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
    return Point(step, state, moments(trainer.optimizers[0], pl_module.net), None if epoch_ended else torch.get_rng_state())


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
    """Gives the optimiser the state of a point when training starts; its hyperparameters stay those of this training.

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
