"""The invariants of a round, each written once: pure functions over values, to ``holds`` and the numbers that show it.

The ``Monitor`` applies them while a round is trained, ``lth.verify`` applies them to what its files hold.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lth.config import Prune
from lth.errors import InvariantError
from lth.hashes import differing, of_tensors
from lth.pruning import allocation
from lth.pruning import gradual as schedules
from lth.pruning import masks as M
from lth.tree.ticket import Ticket

Entry = dict[str, Any]  # of ``checks`` in round.json
State = Mapping[str, Tensor]
TELLING = 1000  # weights of one sign; where fewer are trained, that none of them moved shows nothing


def exact_count(masks: M.Masks, expected: allocation.Keep) -> Entry:
    """As many weights are kept as the schedule asks for: over all layers, or in each."""
    count = M.kept(masks) if isinstance(expected, int) else M.kept_per_layer(masks)
    return {"holds": count == expected, "kept": M.kept(masks), "expected": allocation.total(expected)}


def nested(masks: M.Masks, parent: M.Masks | None) -> Entry:
    """No weight is kept that the parent's masks prune."""
    regrown = M.regrown(masks, parent) if parent is not None else 0
    return {"holds": regrown == 0, "regrown": regrown}


def start(
    state: State, expected: State, moments: State | None = None, expected_moments: State | None = None,
    lr: float | None = None, expected_lr: float | None = None,
) -> Entry:  # fmt: skip
    """Tensors, optimiser state and learning rate are the expected ones, to the bit; None: any rate."""
    names = differing(state, expected) + differing(moments or {}, expected_moments or {})
    holds = not names and expected_lr in (None, lr)
    return {"holds": holds, "differing": names, "optimiser_states": len(moments or {}), "lr": lr}


def zeros(revived: list[int], weights: State, start: State, masks: M.Masks) -> Entry:
    """Pruned weights stay exactly 0, and weights that start negative learn as positive ones do.

    Args:
        revived: after each epoch, the number of pruned weights that were not 0.
        weights: the final weights, as their file holds them.
        start: those that training started from; a tensor in which none moved counts as frozen.
    """
    moved = {n: weights[n] != start[n] for n in masks if not weights[n].equal(start[n])}
    signs = {sign: {n: (start[n].sign() == sign) & masks[n] for n in moved} for sign in (-1, 1)}
    learn = {sign: {n: mask & moved[n] for n, mask in of_sign.items()} for sign, of_sign in signs.items()}
    negative, positive = (M.kept(learn[sign]) / max(M.kept(signs[sign]), 1) for sign in (-1, 1))
    telling = positive > 0.1 and min(map(M.kept, signs.values())) >= TELLING
    in_file = M.revived(weights, masks)
    return {
        "holds": not any(revived) and in_file == 0 and not (telling and negative < 0.01 * positive),
        "epochs": len(revived), "revived": max(revived, default=0), "revived_in_file": in_file,
        "moved": {"negative": negative, "positive": positive},
    }  # fmt: skip


def untouched(shapes: dict, fresh: dict, masks: M.Masks, scope: Collection[str], frozen: State, frozen_start: State) -> Entry:
    """Tensors and groups are those of the fresh network, masks are of the scope's weights, frozen weights do not move.

    ``shapes`` and ``fresh`` are ``shapes_of`` the network now, and as it was built.
    """
    odd = {
        "changed": sorted(n for n in shapes.keys() | fresh.keys() if shapes.get(n) != fresh.get(n)),
        "masked_elsewhere": sorted(set(masks) ^ set(scope)),
        "frozen_moved": differing(frozen, frozen_start),
    }
    return {"holds": not any(odd.values()), **odd, "frozen": len(frozen)}


def shapes_of(state: Mapping[str, Any], network: nn.Module | None = None) -> dict[str, tuple]:
    """Return the type and shape of each tensor of a state_dict, and the groups of the network's convolutions."""
    modules = network.named_modules() if network is not None else ()
    groups = {f"{n}.groups": (m.groups,) for n, m in modules if isinstance(m, nn.modules.conv._ConvNd)}
    return {n: (str(t.dtype), *t.shape) for n, t in state.items() if isinstance(t, Tensor)} | groups


def init_unchanged(rewind: State, init: str) -> Entry:
    """The weights that a round starts from still have the hash, of 16 digits, that they had before training."""
    now = of_tensors(rewind)[:16]
    return {"holds": now == init, "init": now}


def ranks(masks: M.Masks, same: bool, count: int) -> Entry:
    """All ``count`` ranks hold the same masks."""
    return {"holds": same, "ranks": count, "masks": M.hash_masks(masks)}


def layer_collapse(masks: M.Masks, effective: float | None) -> Entry:
    """The effective density is not above the density. A layer without weights is named, and breaks nothing."""
    empty = [name for name, density in M.per_layer(masks).items() if density == 0]
    holds = effective is None or 0 <= effective <= M.density(masks)
    return {"holds": holds, "collapsed": empty, "effective_density": effective}


def control(kind: str, ticket: Ticket, original: Ticket, trained: Collection[str], other_order: bool) -> Entry:
    """A control differs from its ticket in the one thing that it names, and in nothing else by a bit.

    Args:
        trained: names of the parameters that are trained, and of their modules' buffers; ``reinit`` changes no other tensor.
        other_order: whether the batches come in another order.
    """
    layers = M.per_layer(ticket.masks) == M.per_layer(original.masks)
    same = M.hash_masks(ticket.masks) == M.hash_masks(original.masks)
    moved = differing(ticket.rewind, original.rewind)
    # Layers that are dense, empty, or nearly so may be the same after a permutation.
    free = any(0 < int(m.sum()) < m.numel() and m.numel() > 64 for m in original.masks.values())
    holds = {
        "reinit": same and bool(moved) and set(moved) <= set(trained),
        "order": same and not moved,
        "sign": same and bool(moved) and not differing(ticket.rewind, M.signed(original.rewind, original.masks)),
    }.get(kind, not (same and free) and not moved)
    return {
        "holds": layers and holds and other_order == (kind == "order"), "control": kind, "layers_as_dense": layers,
        "masks_differ": not same, "weights_differ": len(moved), "order_differs": other_order,
    }  # fmt: skip


def origin(masks: M.Masks, of: Mapping[str, Any], fitting: Collection[str], expected: str) -> Entry:
    """The masks are those of another round where they fit, and keep everything elsewhere.

    Args:
        of: ``Spec.origin``: hash and counts of that round's masks. The hash shows them where all of them fit.
        fitting: the names of those that fit.
        expected: their hash, as that round's file holds them.
    """
    same = {name: mask for name, mask in masks.items() if name in fitting}
    dense, left = [name for name in masks if name not in fitting], sorted(of["kept"].keys() - same.keys())
    mine = M.hash_masks(same)
    counted = all(M.kept({name: mask}) == of["kept"].get(name) for name, mask in same.items())
    holds = counted and mine == expected and (bool(left) or mine == of["masks"]) and all(masks[name].all() for name in dense)
    return {"holds": holds, "masks": mine, "dense": dense, "left": left}


def gradual(prune: Prune, rows: Sequence[Mapping[str, Any]], masks: M.Masks, expected: allocation.Keep) -> Entry:
    """At each validation as many weights were kept as the cubic schedule asks for, from a dense start on.

    Args:
        rows: of metrics.csv, with the density.
        expected: number of weights that the schedule keeps in the end.
    """
    plan, dense = schedules.schedule(prune, int(rows[-1]["iteration"])), schedules.dense(masks, expected)
    due = [allocation.total(plan.keep(dense, expected, int(row["iteration"]))) / M.size(masks) for row in rows]
    off = [int(row["iteration"]) for row, density in zip(rows, due) if row.get("density") != density]
    return {"holds": not off, "off_schedule": off, "prunings": plan.times, "last_pruning": plan.last}


def of_round(
    ticket: Ticket, weights: State, *, parent: M.Masks | None, expected: allocation.Keep, start: Entry, revived: list[int],
    shapes: dict, fresh: dict, scope: Collection[str], frozen: Collection[str] = (), init: str, ranks: Entry,
    effective_density: float | None, control: Entry | None, structure: Entry | None = None, origin: Entry | None = None,
    gradual: Entry | None = None,
) -> dict[str, Entry]:  # fmt: skip
    """Return the ``checks`` of a round; what only the running training shows is given as entries.

    Args:
        ticket: its masks as their file holds them, and the weights that it started from, before masking.
        weights: the final ones, as their file holds them.
        parent: the masks that it was pruned from; of a control: None.
        expected: number of weights that the schedule asks for.
        revived: see ``zeros``. ``shapes``, ``fresh``, ``scope``: see ``untouched``.
        frozen: names of the parameters that were not trained.
        init: 16 digits of the hash of ``ticket.rewind``, as ``save_start`` returns them before training.
        control: of a control, what ``checks.control`` returns.
        structure: what ``pruning.structure.check`` returns.
        origin: of a round with another round's masks, what ``checks.origin`` returns.
        gradual: of a round that is pruned while it trains, what ``checks.gradual`` returns; its start is the unmasked one.

    Raises:
        InvariantError: one does not hold.
    """
    masks, begin = ticket.masks, ticket.start
    before, after = ({n: state[n] for n in frozen} for state in (begin, weights))
    tensors = untouched(shapes, fresh, masks, scope, after, before)
    require({"untouched": tensors})  # the others read every tensor
    entries = {
        "nested": nested(masks, parent),
        "exact_count": exact_count(masks, expected),
        "start": start,
        "zeros": zeros(revived, weights, begin, masks),
        "untouched": tensors,
        "init_unchanged": init_unchanged(ticket.rewind, init),
        "ranks": ranks,
        "layer_collapse": layer_collapse(masks, effective_density),
    }
    more = {"control": control, "structure": structure, "origin": origin, "gradual": gradual}
    entries |= {name: entry for name, entry in more.items() if entry}
    require(entries)
    return entries


def require(entries: Mapping[str, Entry]) -> None:
    """Raise InvariantError naming the first invariant that does not hold, with its numbers."""
    for name, entry in entries.items():
        if not entry["holds"]:
            numbers = ", ".join(f"{key}={value}" for key, value in entry.items() if key != "holds")
            raise InvariantError(f"the invariant {name!r} does not hold: {numbers}.")
