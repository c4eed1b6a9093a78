"""One round: plan, train, record. Plain functions over values; the network, which is large, is changed in place."""

import os
import platform
import shlex
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf

from lth.config import STARTS
from lth.hashes import of_file
from lth.invariants import checks
from lth.pruning import flow, structure
from lth.pruning import masks as M
from lth.tracking import loggers
from lth.tracking.remaining import Remaining
from lth.tracking.round import log_round
from lth.training import device
from lth.training.checkpoint import SaveRewind
from lth.training.fit import Result, fit
from lth.training.small import fit_small
from lth.training.start import Start, plan
from lth.training.task import Task, tensors
from lth.tree import checkpoint as checkpoints
from lth.tree import files, metrics, predictions
from lth.tree import origin as origins
from lth.tree import ticket as tickets
from lth.tree.checkpoint import Checkpoint
from lth.tree.record import DESCRIBED, FILES, Record
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket


def run(task: Task, store: Store, spec: Spec, title: str, remaining: Remaining) -> Record | None:
    """Plan, train and record the round that ``spec`` asks for, whose parent is finished; return its record.

    All ranks of a distributed run train; the first one writes, the others return None.
    """
    config, begin = task.config, time.perf_counter()
    start = plan(spec, task, store, _rewind(task, store, spec))
    to = "gradual to " * start.gradual
    title = f"{title}, {to}{start.density:.1%} of weights{f', {spec.control}' if spec.control else ''}"
    rewind = None
    if spec.parent is None and config.prune.rounds and config.prune.rewind not in STARTS:
        rewind = _save_rewind(task, store, spec, stop=False)
    if not device.is_first():
        fit(task, start, spec.epochs, title, remaining, rewind=rewind)
        return None
    name = _readable(task, spec, start)
    folder = store.start_over(spec.key, name)
    settings = OmegaConf.to_yaml(OmegaConf.structured(replace(config, epochs=spec.root.epochs)))
    files.write_bytes(folder / "config.yaml", settings.encode())
    init = tickets.save_start(folder, start.ticket.rewind, store.read(spec.parent.key) if spec.parent else None)
    logging = loggers.make(config.logger, folder, store.outputs)
    path = store.checkpoint(spec.key) if config.trainer.devices == 1 else None
    train = fit_small if config.prune.small and start.ticket.groups else fit
    result = train(task, start, spec.epochs, title, remaining, logging, path, rewind)
    facts = record(task, store, spec, start, result, folder, init)
    facts |= {"name": f"{name}-{spec.key}", "seconds": round(time.perf_counter() - begin + result.seconds, 3)}
    log_round(logging, Record.of(facts, folder), result.predicted, task.splits)
    return store.finish(folder, facts)


def record(task: Task, store: Store, spec: Spec, start: Start, result: Result, folder: Path, init: str) -> dict[str, Any]:
    """Write a trained round's files, check its invariants and return the fields of its record, but its name and seconds.

    Args:
        init: hash of the weights before masking, as they were written before training.

    Raises:
        InvariantError: an invariant does not hold; the round is not finished then.
    """
    config, masks = task.config, result.masks
    ticket = replace(start.ticket, masks=masks)
    about_network = task.facts(masks)
    about = {name: about_network.get(name) for name in DESCRIBED}
    files.write_bytes(folder / "metrics.csv", metrics.to_csv(result.rows))
    tickets.save_ticket(folder, ticket, init)
    written = tickets.save_final(folder, tensors(task.network), masks, about, compact=config.final == "compact")
    shape, control, origin, line = task.input_shape(), None, None, None
    effective = flow.effective_density(task.network, masks, shape) if shape else None
    if spec.control:
        control = checks.control(spec.control, ticket, start.original, task.trained(), start.seed != config.seed)
    if start.fitting:
        origin = checks.origin(masks, spec.origin, start.fitting, M.hash_masks(start.fitting))
    network, parent = task.network, start.parent.masks if start.parent else None
    checked = checks.of_round(
        Ticket(tickets.load_ticket(folder).masks, ticket.rewind),
        tickets.load_final(folder)[0],
        **result.observed,
        parent=parent,
        expected=start.expected,
        shapes=checks.shapes_of(network.state_dict(), network),
        fresh=task.shapes,
        scope=task.prunable(dense=spec.index == 0),
        frozen=[name for name, p in network.named_parameters() if not p.requires_grad],
        init=init,
        effective_density=effective,
        control=control,
        origin=origin,
        structure=structure.check(config.prune, spec.levels, ticket.groups, masks, parent) if spec.index else None,
        gradual=checks.gradual(config.prune, result.rows, masks, start.expected) if start.gradual else None,
    )
    if spec.control == "order":
        line = task.line(tickets.load_final(store.valid(spec.parent.key))[0])
    test = predictions.write(folder, result.predicted, task.splits) if result.predicted is not None else ""
    names = [*FILES, *(["predictions.npy"] if test else [])]
    return {
        **spec.facts(),
        "model": config.model.name,
        "kept": M.kept(masks),
        "prunable": M.size(masks),
        "density": ticket.density,
        **about_network,
        **result.scores,
        **({"barrier": line["barrier"], "line": line} if line else {}),
        **({"origin": origins.facts(config)} if spec.origin else {}),
        "score": task.names.short,
        "effective_density": effective,
        "layers": M.per_layer(masks),
        "layer_weights": {name: mask.numel() for name, mask in masks.items()},
        "format": written,
        "test": test,
        "checks": checked,
        "start": init,
        "begin_iteration": start.checkpoint.step,
        "files": {name: of_file(folder / name) for name in names},
        "accelerator": task.device.accelerator,
        "precision": task.device.precision,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "pytorch_lightning": pl.__version__},
        "command": os.environ.get("LTH_COMMAND", shlex.join(sys.argv[1:])),  # a launcher names its own
        "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def _readable(task: Task, spec: Spec, start: Start) -> str:
    """Return what stands before the key in a folder's name; for people only."""
    config, control = task.config, f"-{spec.control}" if spec.control else ""
    data = "own" if "own" in spec.root.content else config.data.name
    density = f"kept{start.density:.4f}"
    return f"{config.model.name}-{data}-seed{config.seed}-round{spec.index:02d}-{density}{control}"


def _rewind(task: Task, store: Store, spec: Spec) -> Checkpoint:
    """Return the rewind checkpoint of a round's chain; where there is none, round 0 trains again up to it."""
    start = Checkpoint(0, {})
    if spec.index == 0 or task.config.prune.rewind in STARTS:
        return start
    save = _save_rewind(task, store, spec.root, stop=True)
    if (saved := checkpoints.load_valid(save.path)) is None:
        title = f"round 0 again, to {task.config.prune.rewind}"
        fit(task, plan(spec.root, task, store, start), spec.root.epochs, title, rewind=save)
        saved = checkpoints.load(save.path)
    return saved


def _save_rewind(task: Task, store: Store, root: Spec, *, stop: bool) -> SaveRewind:
    at, per_epoch = task.config.prune.rewind, task.steps_per_epoch
    if per_epoch:
        at = f"{checkpoints.steps(at, per_epoch, per_epoch * root.epochs)}it"
    return SaveRewind(store.checkpoint(root.key, at.removesuffix("it")), at, task.target, stop=stop)
