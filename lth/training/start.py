"""From a round that is asked for to what its training starts from: masks, weights, optimiser state, position."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from lth.config import Prune
from lth.errors import UsageError, notice_once
from lth.pruning import allocation, channels, criteria, gradual, structure
from lth.pruning import masks as M
from lth.seeds import stream
from lth.training import travel
from lth.training.task import State, Task
from lth.tree import checkpoint as checkpoints
from lth.tree import ticket as tickets
from lth.tree.checkpoint import Checkpoint
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket


@dataclass(frozen=True)
class Start:
    """What a round's training starts from.

    Args:
        ticket: its masks, and its weights before masking; of a gradual round the dense masks.
        checkpoint: position in the schedule, masked weights, optimiser state and generators.
        seed: of data order, augmentation and dropout.
        expected: number of weights that the ticket is to keep, over all layers or in each; a gradual round in the end.
        parent: the ticket of the round that it was pruned from.
        original: of a control, the ticket that it changes.
        fitting: where ``prune.ticket`` names another round, those of its masks that fit.
        constant_rate: whether it trains at the schedule's last learning rate throughout.
        gradual: whether it is pruned while it trains.
    """

    ticket: Ticket
    checkpoint: Checkpoint
    seed: int
    expected: allocation.Keep
    parent: Ticket | None = None
    original: Ticket | None = None
    fitting: M.Masks | None = None
    constant_rate: bool = False
    gradual: bool = False

    @property
    def density(self) -> float:
        """kept / prunable in the end, in (0, 1]."""
        return allocation.total(self.expected) / M.size(self.ticket.masks)


def plan(spec: Spec, task: Task, store: Store, rewind: Checkpoint) -> Start:
    """Return the start of a round whose parent is finished.

    Args:
        rewind: the rewind checkpoint of its chain; its state is empty where that is the initialisation.

    Raises:
        DataError: a file of the parent is damaged.
        UsageError: nothing would be pruned.
    """
    if spec.parent is None:
        weights = dict(task.network.named_parameters())
        ticket = Ticket(M.dense({name: weights[name] for name in task.prunable(dense=True)}), task.initial)
        return Start(ticket, replace(rewind, state=ticket.start), task.config.seed, M.size(ticket.masks))
    folder = store.valid(spec.parent.key)
    parent = tickets.load_ticket(folder)
    if spec.control:
        return _control(spec, task, parent, rewind)
    return _pruned(spec, task, parent, folder, rewind)


def _pruned(spec: Spec, task: Task, parent: Ticket, folder: Path, rewind: Checkpoint) -> Start:
    """Prune the parent's trained weights, or take another round's masks; rewind the rest."""
    prune, names = task.config.prune, set(task.prunable())
    before = {name: mask for name, mask in parent.masks.items() if name in names}
    if not before:
        raise UsageError(
            f"prune.scope={prune.scope} with prune.head={str(prune.head).lower()} and finetune={spec.finetune} leaves "
            "nothing to prune; prune.head=true or another scope does."
        )
    if spec.gradual:
        ticket = Ticket(before, parent.rewind)
        position = replace(rewind, state=ticket.start)
        return Start(ticket, position, task.config.seed, keeps(task, before, spec.levels), parent=parent, gradual=True)
    trained, _ = tickets.load_final(folder)
    weights = trained if prune.retrain != "rewind" else rewind.state or parent.rewind
    if prune.rewind == "sign" and spec.parent.index == 0:
        weights = M.signed(weights, before)
    groups, fitting = (), None
    if spec.origin:
        masks, fitting = travel.fitted(task)
        expected = sum(spec.origin["kept"][name] if name in fitting else mask.numel() for name, mask in masks.items())
    elif prune.structure == "channels":
        groups = parent.groups or tuple(task.groups())
        seed = stream("random criterion", task.config.seed, spec.index)
        masks = structure.prune_channels(prune, spec.levels, groups, before, trained, seed, task.flops)
        expected = M.kept(masks)  # the schedule counts channels, which the check ``structure`` compares
    else:
        keep = keeps(task, before, spec.levels)
        masks, expected = _masks(spec, task, before, keep, trained, weights), allocation.total(keep)
    ticket = Ticket(masks, weights, groups)
    position, constant = _position(rewind, ticket, prune), prune.retrain == "finetune"
    return Start(ticket, position, task.config.seed, expected, parent, fitting=fitting, constant_rate=constant)


def _masks(spec: Spec, task: Task, before: M.Masks, keep: allocation.Keep, trained: State, weights: State) -> M.Masks:
    """Return the masks by which single weights, or those of an N:M pattern, are kept by their scores."""
    prune = task.config.prune
    if dense := structure.left_dense(prune.structure, before):
        notice_once(f"prune.structure={prune.structure} leaves {', '.join(dense)} dense: their inputs do not divide.")

    def network() -> nn.Module:
        task.network.to(task.device.torch_name)  # Lightning leaves a network on the CPU after it has trained
        M.rewind_(task.network, weights, M.dense(before))
        return task.network

    def select(scores: Mapping[str, Tensor], masks: M.Masks, keep: allocation.Keep) -> M.Masks:
        if prune.structure == "weights":
            return M.keep_top(scores, masks, keep)
        return structure.prune_pattern(prune.structure, scores, masks)

    return criteria.prune(
        task.criterion or prune.criterion, before, keep, select, weights=lambda: {name: trained[name] for name in before},
        seed=lambda: stream("random criterion", task.config.seed, spec.index), network=network, batch=task.batch,
        input_shape=task.input_shape,
    )  # fmt: skip


def _control(spec: Spec, task: Task, original: Ticket, rewind: Checkpoint) -> Start:
    """Change a ticket in one named thing (Frankle & Carbin 2019, section 2 and appendix F).

    ``reinit``: the weights that it starts from are drawn anew. ``shuffle``: each layer's mask is permuted. ``random``: each
    layer's mask is drawn anew, with as many weights; a random permutation is the same in distribution, so the two are two
    samples of one thing. ``order``: the batches come in another order, with other dropout. ``sign``: of its weights the
    signs alone are kept, see ``masks.signed``. ``dense``, the dense network trained for as many epochs as the ticket's whole
    chain, changes no ticket: it is a round 0 of its own.
    """
    prune, seed = task.config.prune, task.config.seed
    masks, weights, order = original.masks, original.rewind, seed
    match spec.control:
        case "reinit":
            drawn = task.redraw(stream("reinit", seed))
            weights = weights | (M.signed(drawn, masks) if prune.rewind == "sign" else drawn)
            rewind = replace(rewind, moments={})
        case "sign":
            weights, rewind = M.signed(weights, masks), replace(rewind, moments={})
        case "shuffle" if prune.structure == "weights":
            masks = M.shuffled(masks, stream("shuffle", seed))
        case "shuffle" | "random":
            name = "random mask" if spec.control == "random" else "shuffle"
            masks = structure.random_like(prune.structure, original.groups, masks, stream(name, seed))
        case "order":
            order = stream("other order", seed)
    ticket, constant = Ticket(masks, weights, original.groups), spec.index > 0 and prune.retrain == "finetune"
    position = _position(rewind, ticket, prune)
    return Start(ticket, position, order, M.kept(original.masks), original=original, constant_rate=constant)


def _position(rewind: Checkpoint, ticket: Ticket, prune: Prune) -> Checkpoint:
    """Return ``rewind`` with the ticket's weights, without moments that are of other weights and a schedule that is not used."""
    moments = checkpoints.masked(rewind.moments, ticket.masks) if prune.retrain == "rewind" else {}
    schedules = rewind.schedules if prune.retrain != "finetune" else []
    return replace(rewind, state=ticket.start, moments=moments, schedules=schedules)


def keeps(task: Task, masks: M.Masks, rounds: int) -> allocation.Keep:
    """Return how many of the weights of ``masks`` are kept after ``rounds`` rounds."""
    prune = task.config.prune
    if prune.structure not in ("weights", "channels"):
        return structure.pattern_keeps(prune.structure, masks)
    head = [name for name in task.head_weights() if name in masks]
    return allocation.keeps(masks, prune.rate, rounds, allocation=prune.allocation, head=head, head_rate=prune.head_rate)


def require_weights(task: Task) -> None:
    """Raise UsageError where the rounds that are asked for would leave no weight, or prune none in the last one."""
    prune, params = task.config.prune, dict(task.network.named_parameters())
    if prune.ticket:
        travel.fitted(task)
        return
    if prune.structure == "channels":
        _require_channels(task)
        return
    masks = M.dense({name: params[name] for name in task.prunable()})
    before = M.size(masks)
    for k in range(1, prune.rounds + 1 if masks and prune.structure == "weights" else 1):
        left = allocation.total(keeps(task, masks, k))
        if left == 0 or (left == before and prune.schedule == "imp"):
            what = "no weight would be left" if left == 0 else f"none of the {left} weights left would be pruned"
            raise UsageError(
                f"prune.rounds={prune.rounds} is not accepted with prune.rate={prune.rate:g}: in round {k} {what}; "
                f"it takes at most {k - 1}."
            )
        before = left
    if prune.schedule == "gradual" and prune.rounds and task.steps_per_epoch:
        gradual.schedule(prune, task.steps_per_epoch * task.config.epochs * (prune.rounds + 1))


def _require_channels(task: Task) -> None:
    """Raise UsageError where the rounds that are asked for would leave less than one channel in each group."""
    prune = task.config.prune
    if not prune.rounds:
        return
    groups, key = task.groups(), f"prune.rounds={prune.rounds} is not accepted with prune.rate={prune.rate:g}"
    if prune.budget == "flops":
        params = dict(task.network.named_parameters())
        dense = M.dense({name: params[name] for name in task.prunable()})
        one = channels.masks(groups, [torch.arange(group.channels) == 0 for group in groups], dense)
        least, most = task.flops(one), (1 - prune.rate) ** prune.rounds * task.flops(dense)
        if least > most:
            raise UsageError(
                f"{key} and prune.budget=flops: one channel a group takes {least:,.0f} FLOPs, at most {most:,.0f} would be left."
            )
    elif prune.allocation == "global":
        total = sum(group.channels for group in groups)
        if M.kept_after(total, prune.rate, prune.rounds) < len(groups):
            raise UsageError(f"{key}: of {total} channels in {len(groups)} groups fewer would be left than one in each.")
