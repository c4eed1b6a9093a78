"""One round: plan, train, record. Plain functions over values; the network, which is large, is changed in place."""

import platform
import shlex
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from lth.config import Config
from lth.hashes import of_file
from lth.invariants import checks
from lth.pruning import flow
from lth.pruning import masks as M
from lth.tracking import loggers
from lth.tracking.remaining import Remaining
from lth.tracking.round import log_round
from lth.training import device
from lth.training.checkpoint import Capture
from lth.training.fit import How, Result, fit
from lth.training.start import Rewind, Start, plan
from lth.training.task import State, Task, tensors
from lth.tree import checkpoint as checkpoints
from lth.tree import files, metrics, predictions
from lth.tree import ticket as tickets
from lth.tree.checkpoint import Checkpoint
from lth.tree.record import DESCRIBED, FILES, Record
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket


@dataclass(frozen=True)
class Search:
    """What the rounds of a search share: the configuration, the task and where rounds lie."""

    config: Config
    task: Task
    store: Store


def run(search: Search, spec: Spec, title: str, remaining: Remaining) -> Record | None:
    """Plan, train and record the round that ``spec`` asks for, whose parent is finished; return its record.

    All ranks of a distributed run train; the first one writes, the others return None.
    """
    config, task, store = search.config, search.task, search.store
    begin = time.perf_counter()
    start = plan(spec, task, store, config.prune, config.seed, rewinding(search))
    title = f"{title}, {start.ticket.density:.1%} of weights{f', {spec.control}' if spec.control else ''}"
    how = How(spec.epochs, title, remaining, captures=_captures(search, spec))
    if not device.is_first():
        train(task, config, start, how)
        return None
    folder = store.start_over(spec.key, readable(config, spec, start))
    files.write_bytes(
        folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.structured(replace(config, epochs=spec.epochs))).encode()
    )
    init = tickets.save_start(folder, start.ticket.rewind, store.read(spec.parent.key) if spec.parent else None)
    logging = loggers.make(config.logger, folder, store.outputs)
    path = store.checkpoint(spec.key) if config.trainer.devices == 1 else None
    result = train(task, config, start, replace(how, loggers=tuple(logging), path=path))
    facts = write(search, spec, start, result, folder, init)
    facts["seconds"] = round(time.perf_counter() - begin + result.seconds, 3)
    log_round(logging, Record.of(facts, folder), result.predicted, task.splits)
    return store.finish(folder, facts)


def train(task: Task, config: Config, start: Start, how: How) -> Result:
    """Rewind, train and test; the task's network then holds the final weights."""
    task.rewind_(start.ticket.rewind, start.ticket.masks)
    return fit(task, config, start, how)


def write(search: Search, spec: Spec, start: Start, result: Result, folder: Path, init: str) -> dict[str, Any]:
    """Write a trained round's files, check its invariants and return the fields of its record.

    Args:
        init: hash of the weights before masking, as they were written before training.

    Raises:
        InvariantError: an invariant does not hold; the round is not finished then.
    """
    task, ticket = search.task, start.ticket
    facts = task.facts(ticket.masks)
    about = {name: facts.get(name) for name in DESCRIBED} | {"format": "lth-final-1"}
    files.write_bytes(folder / "metrics.csv", metrics.to_csv(result.rows))
    tickets.save_ticket(folder, ticket, init)
    files.write_tensors(folder / "final.safetensors", tensors(task.network), about)
    shape = task.input_shape()
    effective = flow.effective_density(task.network, ticket.masks, shape) if shape else None
    network = task.network
    checked = checks.of_round(
        Ticket(tickets.load_ticket(folder).masks, ticket.rewind),
        tickets.load_final(folder)[0],
        **result.monitor.observed(),
        parent=start.parent.masks if start.parent else None,
        expected=start.expected,
        shapes=checks.shapes_of(network.state_dict(), network),
        fresh=task.shapes,
        scope=task.prunable(dense=spec.index == 0),
        frozen=[name for name, p in network.named_parameters() if not p.requires_grad],
        init=init,
        effective_density=effective,
        control=_control(search, spec, start),
    )
    line = task.line(_final(search, spec.parent)) if spec.control == "order" else None
    test = predictions.write(folder, result.predicted, task.splits) if result.predicted is not None else ""
    names = [*FILES, *(["predictions.npy"] if test else [])]
    return {
        **spec.facts(),
        "name": folder.name,
        "model": search.config.model.name,
        "kept": M.kept(ticket.masks),
        "prunable": M.size(ticket.masks),
        "density": ticket.density,
        **facts,
        **result.scores,
        **({"barrier": line["barrier"], "line": line} if line else {}),
        "score": task.names.short,
        "effective_density": effective,
        "layers": M.per_layer(ticket.masks),
        "layer_weights": {name: mask.numel() for name, mask in ticket.masks.items()},
        "format": about["format"],
        "test": test,
        "checks": checked,
        "start": init,
        "begin_iteration": start.checkpoint.step,
        "files": {name: of_file(folder / name) for name in names},
        "accelerator": task.device.accelerator,
        "precision": task.device.precision,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "pytorch_lightning": pl.__version__},
        "command": shlex.join(sys.argv[1:]),
        "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def _control(search: Search, spec: Spec, start: Start) -> checks.Entry | None:
    if start.original is None:
        return None
    other_order = start.seed != search.config.seed
    return checks.control(spec.control, start.ticket, start.original, search.task.trained(), other_order)


def _final(search: Search, spec: Spec) -> State:
    """Return the final weights of a finished round."""
    return tickets.load_final(search.store.valid(spec.key))[0]


def readable(config: Config, spec: Spec, start: Start) -> str:
    """Return what stands before the key in a folder's name; for people only."""
    control = f"-{spec.control}" if spec.control else ""
    data = "own" if "own" in spec.root.content else config.data.name
    density = f"kept{start.ticket.density:.4f}"
    return f"{config.model.name}-{data}-seed{config.seed}-round{spec.index:02d}-{density}{control}"


def _captures(search: Search, spec: Spec) -> tuple[Capture, ...]:
    """Return what writes the rewind checkpoint while round 0 trains."""
    prune = search.config.prune
    if spec.parent is not None or not prune.rounds or prune.rewind == "init":
        return ()
    return (_capture(search, spec),)


def _capture(search: Search, root: Spec, *, stop: bool = False) -> Capture:
    save = partial(checkpoints.save, _rewind_path(search, root))
    step = _rewind_step(search, root)
    if step is None:
        return Capture(search.task.target, save, epoch=int(search.config.prune.rewind.removesuffix("ep")), stop=stop)
    return Capture(search.task.target, save, step=step, stop=stop)


def _rewind_step(search: Search, root: Spec) -> int | None:
    """Return the optimiser steps before the rewind checkpoint; None where only training tells how many an epoch has."""
    per_epoch = search.task.steps_per_epoch
    return checkpoints.steps(search.config.prune.rewind, per_epoch, per_epoch * root.epochs) if per_epoch else None


def _rewind_path(search: Search, root: Spec) -> Path:
    return search.store.checkpoint(root.key, _rewind_step(search, root) or search.config.prune.rewind)


def rewinding(search: Search) -> Rewind:
    """Return a function that gives the rewind checkpoint of a round's chain; trained to again if missing."""

    def rewind(spec: Spec) -> Checkpoint:
        if search.config.prune.rewind == "init":
            return Checkpoint(0, {})
        root, path = spec.root, _rewind_path(search, spec.root)
        if (saved := checkpoints.load_valid(path)) is None:
            train_to_rewind(search, root)
            saved = checkpoints.load(path)
        return saved

    return rewind


def train_to_rewind(search: Search, root: Spec) -> None:
    """Train round 0 again up to its rewind checkpoint."""
    capture = _capture(search, root, stop=True)
    start = plan(root, search.task, search.store, search.config.prune, search.config.seed, rewinding(search))
    title = f"round 0 again, to {search.config.prune.rewind}"
    train(search.task, search.config, start, How(root.epochs, title, until=capture))
