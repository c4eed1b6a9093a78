"""A point of a training: everything that going on from there needs, so that it goes on to the same bits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from lth.errors import DataError, UsageError
from lth.pruning import masks as M
from lth.rounds import files
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


def moments(optimizer: Optimizer, names: dict[int, str]) -> State:
    """A copy of the optimiser's state, by the names of parameters; ``names`` maps their ids to them."""
    found = {}
    for parameter, held in optimizer.state.items():
        for name, value in held.items():
            tensor = value if isinstance(value, Tensor) else torch.tensor(value)
            found[f"{names[id(parameter)]}/{name}"] = tensor.detach().cpu().clone()
    return found


def masked(held: State, masks: M.Masks) -> State:
    """An optimiser's state with zeros for pruned weights; what is not of a weight's shape is passed on as it is."""
    fitting = {name: masks.get(name.rpartition("/")[0]) for name in held}
    return {n: t * fitting[n].to(t) if fitting[n] is not None and fitting[n].shape == t.shape else t for n, t in held.items()}


def save(path: Path, point: Point) -> None:
    tensors = {f"state/{n}": t for n, t in point.state.items()} | {f"moments/{n}": t for n, t in point.moments.items()}
    if point.draws is not None:
        tensors["draws"] = point.draws
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_tensors(path, tensors, {"format": "lth-point-1", "step": point.step, "digest": digest(tensors)})


def load(path: Path) -> Point:
    """The point that ``save`` wrote. Raises DataError where the file is damaged."""
    try:
        tensors, about = files.read_tensors(path)
        whole = digest(tensors) == about["digest"]
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it, and it is computed again.") from error
    if not whole:
        raise DataError(f"{path} does not match its hash; delete it, and it is computed again.")
    state, moments = (
        {n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)} for part in ("state/", "moments/")
    )
    return Point(about["step"], state, moments, tensors.get("draws"))


class Capture(pl.Callback):
    """Hands the point after ``step`` optimiser steps to ``keep``."""

    def __init__(self, step: int, keep: Callable[[Point], None]) -> None:
        self.step, self.keep, self.done = step, keep, False

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step != self.step or self.done:
            return
        self.done = True
        names = {id(p): name for name, p in pl_module.net.named_parameters()}
        state = {n: t.detach().cpu().clone() for n, t in pl_module.net.state_dict().items()}
        draws = None if batch_idx + 1 == trainer.num_training_batches else torch.get_rng_state()
        self.keep(Point(self.step, state, moments(trainer.optimizers[0], names), draws))


class Continue(pl.Callback):
    """Gives the optimiser the state of a point when training starts; its hyperparameters stay those of this training."""

    def __init__(self, held: State) -> None:
        self.held = held

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.held:
            return
        optimizer = trainer.optimizers[0]
        names = {id(p): name for name, p in pl_module.net.named_parameters()}
        params = [p for group in optimizer.param_groups for p in group["params"]]
        order = [names[id(p)] for p in params]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self.held.items():
            parameter, _, kind = name.rpartition("/")
            i = order.index(parameter)
            # Fused optimisers walk through memory, so moments must lie there as their weights do.
            own = torch.empty_like(params[i].data, dtype=tensor.dtype) if tensor.shape == params[i].shape else tensor.clone()
            state.setdefault(i, {})[kind] = own.copy_(tensor)
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
