"""Checkpoints: the state of a training after some steps, from which it goes on to the same bits.

One format serves the rewind checkpoints of round 0 (outputs/checkpoints/<key>-<step>.safetensors) and the checkpoints of
interrupted rounds (outputs/checkpoints/<key>.safetensors), which have ``progress`` as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import DataError, UsageError, notice
from lth.hashes import of_json, of_tensors
from lth.tree import files

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    State = dict[str, Tensor]

PARTS = ("state", "moments", "generators", "scaler")


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
    empty at the start of an epoch, which seeds them. ``scaler``: the loss scaler's state, scalars. ``schedules``: state_dicts of
    the learning-rate schedulers of a module of one's own, plain values.
    """

    step: int
    state: "State"
    moments: "State" = field(default_factory=dict)
    generators: "State" = field(default_factory=dict)
    scaler: "State" = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    progress: Progress | None = None
    epoch: int = 0


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, with a hash over all of it."""
    tensors = {f"{part}/{name}": t for part in PARTS for name, t in getattr(checkpoint, part).items()}
    about: dict[str, Any] = {
        "format": "lth-checkpoint-1",
        "name": path.name,
        "step": checkpoint.step,
        "epoch": checkpoint.epoch,
        "schedules": checkpoint.schedules,
    }
    if progress := checkpoint.progress:
        tensors |= {f"sums/{name}": t for name, t in progress.sums.items()}
        tensors |= {f"weights-{step}/{name}": t for step, state in progress.weights.items() for name, t in state.items()}
        plain = {name: getattr(progress, name) for name in ("rows", "observed", "seconds", "sessions")}
        about["progress"] = {**plain, "weights": list(progress.weights)}
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_tensors(path, tensors, about | {"hash": of_json([about, of_tensors(tensors)])})


def load(path: Path) -> Checkpoint:
    """Return the checkpoint that ``save`` wrote. Raises DataError where the file is missing or not what was written."""
    tensors, about = files.read_tensors(path)
    expected = about.pop("hash", None)
    if (
        about.get("format") != "lth-checkpoint-1"
        or about["name"] != path.name
        or expected != of_json([about, of_tensors(tensors)])
    ):
        raise DataError(f"{path} does not match its hash; delete it, and it is computed again.")
    progress = about.get("progress")
    if progress:
        weights = {step: _part(f"weights-{step}", tensors) for step in progress["weights"]}
        progress = Progress(**{**progress, "weights": weights, "sums": _part("sums", tensors)})
    parts = {part: _part(part, tensors) for part in PARTS}
    return Checkpoint(about["step"], **parts, schedules=about["schedules"], progress=progress, epoch=about["epoch"])


def load_valid(path: Path, otherwise: str) -> Checkpoint | None:
    """Return the checkpoint at ``path``; None where there is none, or a damaged one, which is discarded with a notice.

    Args:
        otherwise: what the notice says happens then, such as ``the round begins anew``.
    """
    if not path.exists():
        return None
    try:
        return load(path)
    except DataError:
        notice(f"{path} is damaged; {otherwise}.")
        files.remove(path)
        return None


def _part(part: str, tensors: "State") -> "State":
    return {name.removeprefix(f"{part}/"): t for name, t in tensors.items() if name.startswith(f"{part}/")}


def steps(rewind: str, per_epoch: int, total: int) -> int:
    """Return the optimiser steps before the rewind checkpoint that ``prune.rewind`` names: ``init``, ``500it`` or ``2ep``.

    Raises:
        UsageError: training ends before.
    """
    if rewind == "init":
        return 0
    count = int(rewind[:-2]) * (per_epoch if rewind.endswith("ep") else 1)
    if count >= total:
        raise UsageError(f"prune.rewind={rewind} is not accepted: training takes {total} iterations; it takes fewer.")
    return count


def moments(optimizers: "Iterable[Optimizer]", network: "nn.Module") -> "State":
    """Return a copy of the optimisers' state for the parameters of ``network``, as ``<parameter>/<name>``, on the CPU."""
    import torch

    names = {id(p): name for name, p in network.named_parameters()}
    copied = {}
    for optimizer in optimizers:
        for parameter, values in optimizer.state.items():
            for name, value in values.items():
                tensor = value if isinstance(value, torch.Tensor) else torch.tensor(value)
                copied[f"{names[id(parameter)]}/{name}"] = tensor.detach().cpu().clone()
    return copied


def masked(moments: "State", masks: "Mapping[str, Tensor]") -> "State":
    """Return an optimiser's state with zeros for pruned weights; what is not of a weight's shape is passed on as it is."""
    masks_of = {name: masks.get(name.rpartition("/")[0]) for name in moments}
    return {
        name: t * mask.to(t) if (mask := masks_of[name]) is not None and mask.shape == t.shape else t
        for name, t in moments.items()
    }
