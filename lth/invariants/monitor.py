"""The invariants of a round, checked while it runs and on what it wrote; each one is an entry of round.json's ``proof``.

Every function returns a dict with ``holds`` and the numbers that show it.
"""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn
from typing_extensions import override

from lth.errors import InvariantError, notice_once
from lth.hashes import differing
from lth.pruning import flow
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training import checkpoint as point

State = dict[str, Tensor]


def exact_count(masks: M.Masks, asked: int) -> dict[str, Any]:
    """The kept number is the integer that the schedule asks for."""
    kept = M.kept(masks)
    return {"holds": kept == asked, "kept": kept, "asked": asked}


def nested(masks: M.Masks, parent: M.Masks | None) -> dict[str, Any]:
    """No weight that the parent had pruned is kept."""
    regrown = M.regrown(masks, parent) if parent is not None else 0
    return {"holds": regrown == 0, "regrown": regrown}


def started(live: State, expected: State, moments: State, expected_moments: State, lr: float, asked_lr: float) -> dict[str, Any]:
    """Training starts from rewind weights x mask, bit for bit, buffers too, with the optimiser state and the learning rate
    of the point it is rewound to; at the initialisation there is no optimiser state."""
    odd = differing(live, expected) + differing(moments, expected_moments)
    return {"holds": not odd and lr == asked_lr, "differing": odd, "optimiser_states": len(moments), "lr": lr}


def zeros(revived: list[int], written: State, start: State, masks: M.Masks, trained: set[str]) -> dict[str, Any]:
    """Pruned weights were 0 after every epoch and are in the file; weights that started negative moved as positive ones did.

    Args:
        revived: of each epoch, the number of pruned weights that were not 0.
        written: the final weights, read back from their file.
        trained: names of the masked weights that are trained.
    """
    in_file = M.revived(written, masks)
    signs = {"negative": _of_sign(start, masks, trained, -1), "positive": _of_sign(start, masks, trained, 1)}
    moved = {name: _moved(written, start, there) for name, there in signs.items()}
    # Few weights, or mostly dead ones, show nothing; a sign that is masked out by mistake does not move at all.
    telling = moved["positive"] > 0.1 and min(M.kept(there) for there in signs.values()) >= 1000
    stuck = telling and moved["negative"] < 0.01 * moved["positive"]
    holds = not any(revived) and in_file == 0 and not stuck
    return {
        "holds": holds,
        "epochs": len(revived),
        "revived": max(revived, default=0),
        "revived_in_file": in_file,
        "moved": moved,
    }


def _of_sign(start: State, masks: M.Masks, trained: set[str], sign: int) -> M.Masks:
    """The kept, trained weights that start with ``sign``."""
    return {n: (start[n].sign() == sign) & m for n, m in masks.items() if n in trained}


def _moved(written: State, start: State, there: M.Masks) -> float:
    """Of the weights marked in ``there``, the fraction that changed."""
    count = M.kept(there)
    return sum(int((written[n] != start[n])[t].count_nonzero()) for n, t in there.items()) / count if count else 0.0


def untouched(
    network: nn.Module, fresh: dict[str, tuple], masks: M.Masks, scope: list[str], state: State, start: State
) -> dict[str, Any]:
    """Keys and shapes are the stock network's still (so groups are), masks lie in the scope, frozen weights are as they began."""
    foreign = sorted(set(masks) - set(scope))
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    moved = differing({n: state[n] for n in frozen}, {n: start[n] for n in frozen})
    now = shapes(network)
    holds = now == fresh and not foreign and not moved
    return {"holds": holds, "masked_elsewhere": foreign, "frozen_moved": moved, "frozen": len(frozen), "tensors": len(now)}


def shapes(network: nn.Module) -> dict[str, tuple]:
    """The name and shape of every tensor of the state_dict, and the groups of every convolution."""
    found = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    convs = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.modules.conv._ConvNd))
    return found | {f"{name}.groups": (m.groups,) for name, m in convs}


def collapse(network: nn.Module, masks: M.Masks, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Layers left with no weight, and the density counted over weights on some path from input to output.

    A collapsed layer breaks no promise of the tool, so ``holds`` stays true; it is printed as a warning. The effective density
    is None where the paths of a network cannot be followed; one sentence says why.
    """
    try:
        effective = M.density(flow.on_path(network, masks, input_shape))
    except flow.UnknownPathsError as error:
        notice_once(str(error))
        effective = None
    empty = [name for name, density in M.per_layer(masks).items() if density == 0]
    return {"holds": True, "collapsed": empty, "effective_density": effective}


def require(proof: dict[str, dict[str, Any]]) -> None:
    """Raise InvariantError naming the first invariant that does not hold."""
    for name, entry in proof.items():
        if not entry["holds"]:
            raise InvariantError(f"the round broke the invariant {name!r}: {entry}; it is not kept as finished.")


class Witness(pl.Callback):
    """Looks at the start of training and at the end of every epoch; stands after ``LotteryTicket`` and ``Continue``."""

    def __init__(self, ticket: LotteryTicket, expected: State, moments: State, lr: float) -> None:
        self.ticket, self.expected, self.moments, self.lr = ticket, expected, moments, lr
        self.start: dict[str, Any] = {}
        self.before: dict[str, Any] = {}
        self.ranks: dict[str, Any] = {}
        self.revived: list[int] = []
        self.pruned: M.Masks = {}

    def seen(self) -> dict[str, Any]:
        """What another process needs to go on with this round."""
        return {"start": self.start, "ranks": self.ranks, "revived": self.revived}

    def resumed(self, seen: dict[str, Any]) -> None:
        """Take over what the process saw that began this round; where this one starts is checked all the same."""
        self.before = seen["start"]
        self.revived = list(seen["revived"])

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        optimizer = trainer.optimizers[0]
        rate = optimizer.param_groups[0]["lr"]
        network = self.ticket.network(pl_module)
        held = point.moments(optimizer, network)
        self.start = started(network.state_dict(), self.expected, held, self.moments, rate, self.lr)
        if self.before and self.start["holds"]:
            self.start = self.before
        trained = set(M.prunable(network))  # frozen ones are compared bit by bit in the end
        self.pruned = {n: m for n, m in self.ticket.masks.items() if n in trained and not m.all()}
        mine = M.hash_masks(self.ticket.masks)
        first = trainer.strategy.broadcast(mine)
        agree = trainer.strategy.reduce_boolean_decision(mine == first)
        self.ranks = {"holds": bool(agree), "ranks": trainer.world_size, "masks": mine}

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.revived.append(M.revived(self.ticket.network(pl_module).state_dict(), self.pruned))
