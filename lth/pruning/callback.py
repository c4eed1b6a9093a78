"""LotteryTicket: the Lightning callback that rewinds, and keeps pruned weights at zero."""

import re
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from lth.errors import InvariantError, UsageError
from lth.pruning import masks as M
from lth.pruning import selection, state
from lth.pruning.criteria import Criterion, score
from lth.pruning.hold import Hold


class LotteryTicket(pl.Callback):
    """Iterative magnitude pruning with rewinding (Frankle & Carbin 2019), one ``trainer.fit`` a round.

    The first fit is round 0: the callback saves the initial weights and trains the dense network. When a fit ends, the
    masks of the next round are computed from the weights that the network then has, the last ones and not those of the
    best checkpoint. When the next fit starts, all weights and buffers go back to the saved ones and pruned weights to zero.
    Use a new ``Trainer`` for each round: it brings a fresh optimiser, schedule and counters. A fit that is given
    ``ckpt_path`` resumes its round instead, masks included; testing a checkpoint between two fits changes nothing.

    Modules stay as they are: no reparametrisation, stock state_dict keys. Gradients are masked before clipping and
    weights after the optimiser's step, so the gradient norm, the moments and the weights are those of the
    subnetwork, whatever the optimiser, its momentum and its weight decay. With a rate, each epoch logs ``density``,
    or ``density/<target>``.

    Args:
        rate: fraction of the remaining weights pruned after a round, above 0 and below 1; ``None``: prune nothing.
        head: ``True``: the head is pruned too; the name of a submodule, such as ``"fc"``: that one is not pruned, with
            all layers in it; ``False``: the layer that is defined last is not pruned, and a warning names it.
        target: name of the submodule to prune, log and rewind; the rest of the module is not rewound. Empty: the
            whole LightningModule. Names of parameters, masks and ``head`` are relative to it. Several callbacks may
            have a target each.
        parameters: what is pruned: names of parameters, or a function (name, parameter) -> bool that is asked for each
            parameter of two or more dimensions, trained or not. ``None``: the weights of Conv and Linear layers that are
            trained when the first fit starts and get a gradient in round 0, so no copy that the module keeps of itself;
            one warning names large or frozen weights that are left out. A frozen weight named here is masked from the
            start of a fit, and stays so when it is unfrozen.
        criterion: ``"magnitude"``, ``"random"`` (drawn by torch's seed), or a function (weights, masks) -> scores, dicts by
            name, that is called when a fit ends; the lowest scores of the kept weights are pruned.
        rewind: ``"init"``; or where in round 0 later rounds start from: ``"500it"``, after so many optimiser steps as
            Lightning counts them, or ``"2ep"``, after so many epochs (Frankle et al. 2020). Weights and buffers go back
            there; optimiser, schedule and data order are those of the new Trainer, from their beginning.
        masks, init: start from this ticket instead of from a dense round 0; together or not at all. ``init`` is a
            state_dict of the target, or the part of it that is to be rewound.

    Raises:
        UsageError: an argument is not accepted (here, or when a fit starts and the network is known), a Trainer is reused.
        InvariantError: a checkpoint holds no or damaged masks, or the ranks of a distributed run hold different masks.

    Example::

        ticket = LotteryTicket(rate=0.2)
        for _ in range(6):
            Trainer(max_epochs=5, callbacks=[ticket]).fit(model, data)
            print(ticket.round, ticket.density)
    """

    def __init__(
        self,
        rate: float | None = 0.2,
        *,
        head: bool | str = True,
        target: str = "",
        parameters: selection.Choice | None = None,
        criterion: Criterion = "magnitude",
        rewind: str = "init",
        masks: M.Masks | None = None,
        init: dict[str, Tensor] | None = None,
    ) -> None:
        if rate is not None and not 0 < rate < 1:
            raise UsageError(f"rate={rate} is not accepted: it takes a fraction above 0 and below 1, or None.")
        if (masks is None) != (init is None):
            raise UsageError("masks and init go together: a ticket is masks and the weights it starts from.")
        if masks is not None and (parameters is not None or rewind != "init"):
            raise UsageError("masks and init are a whole ticket; they go with neither parameters nor rewind.")
        if not (callable(criterion) or criterion in ("magnitude", "random")):
            raise UsageError(f"criterion={criterion} is not accepted: it takes magnitude, random or a function.")
        if not re.fullmatch(r"init|[1-9][0-9]*(it|ep)", rewind):
            raise UsageError(f"rewind={rewind} is not accepted: it takes init, steps such as 500it, or epochs such as 2ep.")
        self.rate, self.head, self.target, self.parameters = rate, head, target, parameters
        self.criterion, self.rewind = criterion, rewind
        self._late_at, self._unit = (0, "") if rewind == "init" else (int(rewind[:-2]), rewind[-2:])
        self.masks, self._given = masks, masks is not None
        self.init = None if init is None else state.tensors(init)
        self.late: dict[str, Tensor] | None = None  # the weights at ``rewind``, where that is not the initialisation
        self.round = 0
        self._next: M.Masks | None = None
        self._stage: str | None = None
        self._restored = self._trained = self._dumped = False
        self._logged, self._seed = self.density, 0
        self._idle: dict[str, nn.Parameter] = {}  # in round 0, what has had no gradient so far
        self._watches: list[Any] = []
        self._hold = Hold({}, {})

    @property
    def density(self) -> float:
        """kept / prunable of the round that is trained or was trained last, in (0, 1]."""
        return M.density(self.masks) if self.masks else 1.0

    @property
    @override
    def state_key(self) -> str:
        return self._generate_state_key(target=self.target)

    def network(self, pl_module: nn.Module) -> nn.Module:
        """The module that is pruned."""
        try:
            return pl_module.get_submodule(self.target)
        except AttributeError:
            raise UsageError(f"target={self.target} is not accepted: {type(pl_module).__name__} has no such submodule.") from None

    @override
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stage, self._restored, self._trained, self._dumped = stage, False, False, False

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stage = None

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._require_own_target(trainer)
        network = self.network(pl_module)
        if self.init is not None:
            selection.require_ticket(network, self.masks, self.init)
        if self._restored:
            self._next = None  # of a round that had ended; it ends again
        elif trainer.ckpt_path is not None and not self._dumped:
            raise InvariantError(f"the checkpoint that is resumed holds no masks; it was not written with {self.state_key}.")
        elif trainer.global_step or trainer.current_epoch:
            raise UsageError("this Trainer has trained already: a round is one fit of a new Trainer, made inside the loop.")
        else:
            self._enter_round(network)
        self._same_on_all_ranks(trainer)
        self._seed = trainer.strategy.broadcast(torch.initial_seed()) if self.criterion == "random" else 0
        self._logged = self.density
        params = dict(network.named_parameters())
        watched = self.round == 0 and self.rate is not None and not self._given and self.parameters is None
        self._idle = {name: params[name] for name in self.masks} if watched else {}
        self._hold = Hold(params, self.masks)

    def _require_own_target(self, trainer: pl.Trainer) -> None:
        others = [c.target for c in trainer.callbacks if isinstance(c, LotteryTicket) and c is not self]
        if inside := [name for name in others if f"{name}.".startswith(f"{self.target}." if self.target else "")]:
            raise UsageError(f"targets {self.target!r} and {inside[0]!r} overlap: each callback takes a submodule of its own.")

    def _enter_round(self, network: nn.Module) -> None:
        if self.init is None:
            names = selection.select(network, self.parameters, self.head)
            params = dict(network.named_parameters())
            self.masks, self.init = M.dense({name: params[name] for name in names}), state.saved(network)
            if self.parameters is None and (sentence := selection.left_out(network, names, self.head)):
                rank_zero_warn(sentence)
            return
        if self._next is not None:
            self.masks, self._next, self.round = self._next, None, self.round + 1
        if self.round == 0:
            self.late = None
        M.rewind_(network, self.init if self.late is None else self.late, self.masks)

    def _same_on_all_ranks(self, trainer: pl.Trainer) -> None:
        if trainer.world_size > 1:
            mine = M.digest(self.masks)
            first = trainer.strategy.broadcast(mine)
            if mine != first:
                raise InvariantError(f"rank {trainer.global_rank} holds masks {mine[:12]}, rank 0 holds {first[:12]}.")

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = True
        self._hold.attach(trainer.optimizers, manual=not pl_module.automatic_optimization)
        if self._idle:
            self._watches = [optimizer.register_step_post_hook(self._watch) for optimizer in trainer.optimizers]

    def _watch(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._idle = {name: p for name, p in self._idle.items() if p.grad is None}

    @override
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        self._hold.mask_gradients()

    @override
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._unit == "it":
            self._save_late(pl_module, trainer.global_step)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._unit == "ep":
            self._save_late(pl_module, trainer.current_epoch + 1)
        self._log(trainer)

    def _save_late(self, pl_module: pl.LightningModule, reached: int) -> None:
        if self.round == 0 and self.late is None and reached >= self._late_at:
            self.late = state.saved(self.network(pl_module))

    @override
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log(trainer)  # here too: a ModelCheckpoint that saves after validation reads it before the epoch ends

    def _log(self, trainer: pl.Trainer) -> None:
        if not trainer.barebones and self.rate is not None:
            name = f"density/{self.target}" if self.target else "density"
            self.log(name, self._logged, sync_dist=trainer.world_size > 1)

    @override
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._hold.detach()
        while self._watches:
            self._watches.pop().remove()

    @override
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stage = None
        self.on_train_end(trainer, pl_module)

    @override
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rate is None:
            return
        if not (self._trained or self._restored):
            rank_zero_warn(f"nothing was trained in round {self.round}, so nothing is pruned after it.")
            return
        if self.rewind != "init" and self.late is None:
            raise UsageError(f"rewind={self.rewind} is not accepted: round 0 ended after {trainer.global_step} steps, before it.")
        if self._trained:
            self._leave_out_idle()
        weights = dict(self.network(pl_module).named_parameters())
        scores = score(self.criterion, weights, self.masks, (self._seed + self.round) % 2**63)
        self._next = M.keep_top(scores, self.masks, M.kept_after(M.kept(self.masks), self.rate))

    def _leave_out_idle(self) -> None:
        idle, self._idle = list(self._idle), {}
        if len(idle) == len(self.masks):
            raise UsageError(
                "no prunable weight got a gradient in round 0: LotteryTicket works with the optimisers that "
                "configure_optimizers returns."
            )
        if idle:
            rank_zero_warn(
                f"LotteryTicket does not prune {selection.some(idle)}: without a gradient in round 0 they are a copy that the "
                "module keeps, or not used. parameters= names what is pruned."
            )
            self.masks = {name: mask for name, mask in self.masks.items() if name not in idle}

    @override
    def state_dict(self) -> dict[str, Any]:
        """Round, masks at one bit a weight with their hash, those of the next round once it is known, and the weights that
        rounds start from: all that a resumed fit, or another process, needs."""
        self._dumped = True
        start = {"round": self.round, "init": self.init or {}, "late": self.late or {}}
        return start | state.pack(self.masks or {}) | {"next": state.pack(self._next) if self._next else {}}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave, unless the checkpoint is loaded to be evaluated: Lightning restores callbacks
        then, too. Raises InvariantError where the masks are not the ones that were saved."""
        if self._stage not in (None, "fit"):
            return
        self.round, self.masks = state_dict["round"], state.unpack(state_dict) or None
        self.init, self.late = state_dict["init"] or None, state_dict["late"] or None
        self._next = state.unpack(state_dict["next"]) if state_dict["next"] else None
        # What was saved since this fit was set up is no resumed round: LearningRateFinder saves and restores before it begins.
        self._restored = not self._dumped
