"""Checkpoints: the state of a training after some steps, from which it goes on to the same bits.

One format serves the rewind checkpoints of round 0 (outputs/checkpoints/<key>-<step>.safetensors) and the checkpoints of
interrupted rounds (outputs/checkpoints/<key>.safetensors), which have ``progress`` as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.config import STARTS
from lth.errors import DataError, UsageError, notice
from lth.tree import files

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    State = dict[str, Tensor]

FORMAT = "lth-checkpoint-1"
PARTS = ("state", "moments", "generators", "scaler", "masks")  # of tensors


@dataclass(frozen=True)
class Progress:
    """What an interrupted round has recorded so far.

    ``rows``: of metrics.csv; ``weights``: by iteration, the state at the end points so far; ``observed``: by the invariant
    monitor; ``sums``: the running sums of the epoch, empty for modules of one's own; ``seconds`` spent on it; ``sessions``:
    processes that worked on it.
    """

    rows: list[dict[str, Any]]
    weights: "dict[int, State]"
    observed: dict[str, Any]
    sums: "State"
    seconds: float
    sessions: int


@dataclass(frozen=True)
class Checkpoint:
    """The training after ``step`` optimiser steps, in epoch ``epoch`` (from 0).

    ``state``: every tensor of the network's state_dict. ``moments``: the optimisers' state, ``<parameter>/<name>``, empty
    for fresh ones. ``generators``: the states of torch's generators by device type, from which the rest of the epoch draws;
    empty at the start of an epoch, which seeds them. ``scaler``: the loss scaler's state, scalars. ``masks``: of an interrupted
    round, which may be pruned while it trains. ``schedules``: state_dicts of the learning-rate schedulers of a module of one's
    own, plain values.
    """

    step: int
    state: "State"
    moments: "State" = field(default_factory=dict)
    generators: "State" = field(default_factory=dict)
    scaler: "State" = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    progress: Progress | None = None
    epoch: int = 0
    masks: "State" = field(default_factory=dict)


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, with a hash over all of it."""
    about = {"format": FORMAT, "name": path.name}
    about |= {name: getattr(checkpoint, name) for name in ("step", "epoch", "schedules")}
    groups = {name: getattr(checkpoint, name) for name in PARTS}
    if progress := checkpoint.progress:
        groups |= {"sums": progress.sums} | {f"weights-{step}": state for step, state in progress.weights.items()}
        plain = {name: getattr(progress, name) for name in ("rows", "observed", "seconds", "sessions")}
        about["progress"] = {**plain, "weights": list(progress.weights)}
    tensors = {f"{group}/{name}": t for group, state in groups.items() for name, t in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_hashed(path, tensors, about)


def load(path: Path) -> Checkpoint:
    """Raises DataError where the file is missing, damaged or of another name."""
    tensors, about = files.read_hashed(path, FORMAT)
    if about["name"] != path.name:
        raise DataError(f"{path} is damaged: it is {about['name']}.")
    groups: dict[str, State] = defaultdict(dict)
    for key, tensor in tensors.items():
        group, _, name = key.partition("/")
        groups[group][name] = tensor
    if progress := about.get("progress"):
        weights = {step: groups[f"weights-{step}"] for step in progress["weights"]}
        progress = Progress(**{**progress, "weights": weights, "sums": groups["sums"]})
    parts = {name: groups[name] for name in PARTS}
    return Checkpoint(about["step"], **parts, schedules=about["schedules"], progress=progress, epoch=about["epoch"])


def load_valid(path: Path) -> Checkpoint | None:
    """``load``; None where there is no file, or a damaged one, which is removed with a notice."""
    if not path.exists():
        return None
    try:
        return load(path)
    except DataError:
        notice(f"{path} is damaged; it is computed again.")
        path.unlink()
        return None


def steps(rewind: str, per_epoch: int, total: int) -> int:
    """Return the optimiser steps before the rewind checkpoint that ``prune.rewind`` names."""
    if rewind in STARTS:
        return 0
    count = int(rewind[:-2]) * (per_epoch if rewind.endswith("ep") else 1)
    if count >= total:
        raise UsageError(f"prune.rewind={rewind} is not accepted: training takes {total} iterations; it takes fewer.")
    return count


def moments(optimizers: "Iterable[Optimizer]", network: "nn.Module") -> "State":
    """Return a copy of the optimisers' state, as ``<parameter>/<name>``, on the CPU."""
    import torch

    names = {id(p): name for name, p in network.named_parameters()}
    copied = {}
    for optimizer in optimizers:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        for i, values in optimizer.state_dict()["state"].items():
            for name, value in values.items():
                copied[f"{names[id(params[i])]}/{name}"] = torch.as_tensor(value).detach().cpu().clone()
    return copied


def masked(moments: "State", masks: "Mapping[str, Tensor]") -> "State":
    """Return an optimiser's state with +0 for pruned weights, where it is of their shape."""
    result = dict(moments)
    for name, t in moments.items():
        mask = masks.get(name.rpartition("/")[0])
        if mask is not None and mask.shape == t.shape:
            result[name] = t.where(mask, 0)
    return result
