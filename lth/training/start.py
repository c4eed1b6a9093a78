"""From a round that is asked for to what its training starts from: masks, weights, optimiser state, position."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import nn

from lth.config import Prune
from lth.errors import UsageError
from lth.pruning import allocation, criteria
from lth.pruning import masks as M
from lth.seeds import stream
from lth.training import controls
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
        ticket: its masks, and its weights before masking.
        checkpoint: position in the schedule, masked weights, optimiser state and generators.
        seed: of data order, augmentation and dropout.
        expected: number of weights that the ticket is to keep.
        parent: the ticket of the round that it was pruned from.
        original: of a control, the ticket that it changes.
        constant_rate: whether it trains at the schedule's last learning rate throughout.
    """

    ticket: Ticket
    checkpoint: Checkpoint
    seed: int
    expected: int
    parent: Ticket | None = None
    original: Ticket | None = None
    constant_rate: bool = False


Rewind = Callable[[Spec], Checkpoint]  # the rewind checkpoint of a chain; its state is empty where that is the initialisation


def plan(spec: Spec, task: Task, store: Store, prune: Prune, seed: int, rewind: Rewind) -> Start:
    """Return the start of a round whose parent is finished.

    Args:
        seed: of the replicate.
        rewind: returns, for a round, the checkpoint that ``prune.rewind`` names, trained to if need be.

    Raises:
        DataError: a file of the parent is damaged.
        UsageError: nothing would be pruned.
    """
    if spec.control:
        return _control(spec, task, store, prune, seed, rewind)
    if spec.parent is None:
        weights = dict(task.network.named_parameters())
        ticket = Ticket(M.dense({n: weights[n] for n in task.prunable(dense=True)}), task.initial)
        return Start(ticket, Checkpoint(0, ticket.start), seed, M.size(ticket.masks))
    return _pruned(spec, task, store, prune, seed, rewind)


def _pruned(spec: Spec, task: Task, store: Store, prune: Prune, seed: int, rewind: Rewind) -> Start:
    """Prune the parent's trained weights, rewind the rest."""
    folder = store.valid(spec.parent.key)
    parent = tickets.load_ticket(folder)
    trained, _ = tickets.load_final(folder)
    names = set(task.prunable())
    before = {name: mask for name, mask in parent.masks.items() if name in names}
    if not before:
        raise UsageError(
            f"prune.scope={prune.scope} with prune.head={str(prune.head).lower()} and finetune={spec.finetune} leaves "
            "nothing to prune; prune.head=true or another scope does."
        )
    keep = keeps(task, prune, before, spec.levels)
    begin = rewind(spec)
    weights = trained if prune.retrain != "rewind" else begin.state or parent.rewind
    masks = masks_of(spec, task, prune, seed, before, keep, trained, weights)
    ticket = Ticket(masks, weights)
    return Start(
        ticket, _position(begin, ticket, prune), seed, allocation.total(keep), parent,
        constant_rate=prune.retrain == "finetune",
    )  # fmt: skip


def _control(spec: Spec, task: Task, store: Store, prune: Prune, seed: int, rewind: Rewind) -> Start:
    original = tickets.load_ticket(store.valid(spec.parent.key))
    ticket = controls.changed(original, spec.control, seed, task.redraw)
    begin = rewind(spec) if spec.index else Checkpoint(0, {})
    return Start(
        ticket, _position(begin, ticket, prune, moments=spec.control != "reinit"), controls.order_seed(spec.control, seed),
        M.kept(original.masks), original=original, constant_rate=spec.index > 0 and prune.retrain == "finetune",
    )  # fmt: skip


def _position(begin: Checkpoint, ticket: Ticket, prune: Prune, *, moments: bool = True) -> Checkpoint:
    """Return ``begin`` with the ticket's weights and, where weights are rewound with all that belongs to them, its moments."""
    restored = checkpoints.masked(begin.moments, ticket.masks) if moments and prune.retrain == "rewind" else {}
    return replace(begin, state=ticket.start, moments=restored)


def keeps(task: Task, prune: Prune, masks: M.Masks, rounds: int) -> allocation.Keep:
    """Return how many of the weights of ``masks`` are kept after ``rounds`` rounds."""
    head = [name for name in task.head_weights() if name in masks]
    return allocation.keeps(masks, prune.rate, rounds, allocation=prune.allocation, head=head, head_rate=prune.head_rate)


def masks_of(
    spec: Spec, task: Task, prune: Prune, seed: int, before: M.Masks, keep: allocation.Keep, trained: State, weights: State
) -> M.Masks:
    """Return the masks of a round.

    Args:
        before: its parent's masks.
        keep: how many of their weights are kept.
        trained: its parent's final weights.
        weights: those that it starts from.
    """

    def network() -> nn.Module:
        task.network.to(task.device.torch_name)  # Lightning leaves a network on the CPU after it has trained
        M.rewind_(task.network, weights, M.dense(before))
        return task.network

    inputs = {
        "weights": lambda: {name: trained[name] for name in before},
        "seed": lambda: stream("random criterion", seed, spec.index),
        "network": network,
        "batch": task.batch,
        "input_shape": task.input_shape,
    }
    wanted = {name: inputs[name] for name in task.criterion_inputs}
    return criteria.prune(task.criterion or prune.criterion, before, keep, **wanted)


def require_weights(task: Task, prune: Prune) -> None:
    """Raise UsageError where the rounds that are asked for would leave no weight, or prune none in the last one."""
    params = dict(task.network.named_parameters())
    masks = M.dense({name: params[name] for name in task.prunable()})
    if not prune.rounds or not masks:
        return
    left = [M.size(masks)]
    for k in range(1, prune.rounds + 1):
        left.append(allocation.total(keeps(task, prune, masks, k)))
        if left[k] == 0 or (left[k] == left[k - 1] and prune.schedule == "imp"):
            what = "no weight would be left" if left[k] == 0 else f"none of the {left[k]} weights left would be pruned"
            raise UsageError(
                f"prune.rounds={prune.rounds} is not accepted with prune.rate={prune.rate:g}: in round {k} {what}; "
                f"it takes at most {k - 1}."
            )
