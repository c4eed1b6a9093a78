"""LotteryTicket: the Lightning callback that rewinds, and keeps pruned weights at zero."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lth.errors import InvariantError, UsageError
from lth.pruning import criteria, selection
from lth.pruning import masks as M


class LotteryTicket(pl.Callback):
    """Iterative magnitude pruning with rewinding (Frankle & Carbin 2019), one ``trainer.fit`` a round.

    The first fit is round 0: the callback saves the initial weights and trains the dense network. When a fit ends, it computes
    the next masks from the weights that the network then has. When the next fit starts, all weights and buffers go back to the
    saved ones and pruned weights to zero. Each round needs a new ``Trainer``. A fit with ``ckpt_path`` resumes its round.

    Gradients are masked before clipping and weights after the optimiser's step, so the gradient norm, the moments and the
    weights are those of the subnetwork. With a rate, each epoch logs ``density``, or ``density/<target>``.

    Args:
        rate: fraction of the remaining weights pruned after a round, above 0 and below 1; ``None``: prune nothing.
        head: ``True``: all layers are pruned, the head too. The name of a submodule, such as ``"fc"``: no layer in it is pruned;
            ``False``: the layer that is defined last is not pruned, and a warning names it.
        target: name of the submodule to prune, log and rewind; empty: the whole LightningModule. Names of parameters, masks
            and ``head`` are relative to it. Several callbacks may have a target each.
        parameters: what is pruned: names of parameters, or a function (name, parameter) -> bool that is asked for each
            parameter of two or more dimensions, trained or not. ``None``: the weights of Conv, Linear and attention layers
            that are trained when the first fit starts and get a gradient in round 0; a warning names large or frozen weights
            that are left out. A frozen weight named here is masked, and stays so when it is unfrozen.
        criterion: ``"magnitude"``, ``"random"`` (drawn by torch's seed), or a function (weights, masks) -> scores, dicts by
            name, that is called when a fit ends; the lowest scores of the kept weights are pruned.
        rewind: ``"init"``; or where in round 0 later rounds start from (Frankle et al. 2020): ``"500it"``, after so many
            optimiser steps as Lightning counts them, or ``"2ep"``, after so many epochs. Only weights and buffers go back.
        masks, init: start from this ticket instead of from a dense round 0; together or not at all. ``init`` is a
            state_dict of the target, or the part of it that is to be rewound.
        zero_stays: the optimisers leave a weight at zero whose gradients and moments are zero, as Adam, AdamW and SGD do, and
            have no moments of pruned weights: then the gradients alone are masked in a step, to the same bits.

    Raises UsageError where an argument is not accepted (here, or when a fit starts) or a Trainer is reused, InvariantError
    where a checkpoint holds no or damaged masks, or the ranks of a distributed run hold different masks.
    """

    def __init__(
        self,
        rate: float | None = 0.2,
        *,
        head: bool | str = True,
        target: str = "",
        parameters: selection.Choice | None = None,
        criterion: str | criteria.Function = "magnitude",
        rewind: str = "init",
        masks: M.Masks | None = None,
        init: dict[str, Tensor] | None = None,
        zero_stays: bool = False,
    ) -> None:
        selection.require_arguments(rate, criterion, rewind, parameters, masks, init)
        self.rate, self.head, self.target, self.parameters = rate, head, target, parameters
        self.criterion, self.rewind, self.masks, self.zero_stays = criterion, rewind, masks, zero_stays
        self.init = None if init is None else selection.tensors(init)
        self.rewind_state: dict[str, Tensor] | None = None  # the weights at ``rewind``, where that is not the initialisation
        self.round = 0
        self._selects = masks is None and parameters is None and rate is not None
        self._seed = 0
        self._next: M.Masks | None = None
        self._stage: str | None = None
        self._resumed = self._trained = self._saved = False
        self._pruned: list[tuple[nn.Parameter, Tensor]] = []  # with their masks, of the weights' own dtype, device and format
        self._without_gradient: dict[str, nn.Parameter] = {}  # the selected weights that have had none in round 0
        self._hooks: list[Any] = []

    @property
    def density(self) -> float:
        """kept / prunable of the round that is trained or was trained last, in (0, 1]."""
        return M.density(self.masks) if self.masks else 1.0

    @property
    def state_key(self) -> str:
        return self._generate_state_key(target=self.target)

    def network(self, pl_module: nn.Module) -> nn.Module:
        """Return the module that is pruned. Raises UsageError where ``target`` names none."""
        return selection.submodule(pl_module, self.target, "target")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stage, self._resumed, self._trained, self._saved = stage, False, False, False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._stage = None
        self._detach()

    def _detach(self) -> None:
        while self._hooks:
            self._hooks.pop().remove()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for other in (c.target for c in trainer.callbacks if isinstance(c, LotteryTicket) and c is not self):
            if f"{other}.".startswith(f"{self.target}." if self.target else ""):
                raise UsageError(f"targets {self.target!r} and {other!r} overlap: each callback takes another submodule.")
        network = self.network(pl_module)
        if self.init is not None:
            selection.require_ticket(network, self.masks, self.init)
        if not self._resumed:
            self._begin_round(trainer, network)
        self._next = None  # also of a round that had ended and is resumed; it ends again
        mine = M.hash_masks(self.masks)
        if mine != (first := trainer.strategy.broadcast(mine)):
            raise InvariantError(f"rank {trainer.global_rank} holds masks {mine[:12]}, rank 0 holds {first[:12]}.")
        self._seed = trainer.strategy.broadcast(torch.initial_seed())
        self._mask(network)
        params = dict(network.named_parameters())
        self._without_gradient = {name: params[name] for name in self.masks} if self._selects and self.round == 0 else {}

    def _mask(self, network: nn.Module) -> None:
        params = dict(network.named_parameters())
        pruned = [(params[name], mask) for name, mask in self.masks.items() if not mask.all()]  # the others cost nothing
        self._pruned = [(p, torch.empty_like(p.data).copy_(mask)) for p, mask in pruned]
        M.multiply_(self._pruned)

    def prune(self, trainer: pl.Trainer, pl_module: pl.LightningModule, masks: M.Masks) -> None:
        """Go on training with sparser masks: newly pruned weights and the optimisers' moments of them become 0."""
        self.masks = masks
        self._mask(self.network(pl_module))
        states = [(optimizer.state.get(p, {}), p, m) for optimizer in trainer.optimizers for p, m in self._pruned]
        M.multiply_([(t, m.to(t)) for state, p, m in states for t in state.values() if getattr(t, "shape", None) == p.shape])
        self._attach(trainer, pl_module)

    def _begin_round(self, trainer: pl.Trainer, network: nn.Module) -> None:
        if trainer.ckpt_path is not None and not self._saved:
            raise InvariantError(f"the checkpoint that is resumed holds no masks; it was not written with {self.state_key}.")
        if trainer.global_step or trainer.current_epoch:
            raise UsageError("this Trainer has trained already: a round is one fit of a new Trainer, created inside the loop.")
        if self.init is None:
            self.masks, self.init = selection.select(network, self.parameters, self.head), selection.saved(network)
            return
        if self._next is not None:
            self.masks, self.round = self._next, self.round + 1
        if self.round == 0:
            self.rewind_state = None
        M.rewind_(network, self.rewind_state or self.init, self.masks)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._trained = True
        self._attach(trainer, pl_module)

    def _attach(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._detach()  # what was for other masks, or a learning rate finder attached
        self._hooks = [optimizer.register_step_post_hook(self._after_step) for optimizer in trainer.optimizers]
        for optimizer in trainer.optimizers:
            if hasattr(optimizer, "keep"):  # it steps the kept weights alone: lth.models.survivors
                optimizer.keep(self._pruned)
        if not pl_module.automatic_optimization:  # the module may clip before its optimiser's step begins
            hooks = [(p, lambda p, m=m: M.multiply_([(p.grad, m)])) for p, m in self._pruned if p.requires_grad]
            self._hooks += [p.register_post_accumulate_grad_hook(hook) for p, hook in hooks]

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer) -> None:
        # Now, so that the gradients of pruned weights enter neither the clipped norm nor the moments.
        unread = () if trainer.gradient_clip_val else getattr(optimizer, "places", ())
        M.multiply_([(p.grad, m) for p, m in self._pruned if p.grad is not None and p not in unread])

    def _after_step(self, *args: Any) -> None:
        if not self.zero_stays:
            M.multiply_([(p, m) for p, m in self._pruned if p.requires_grad])  # no optimiser moves a weight that is frozen now
        self._without_gradient = {name: p for name, p in self._without_gradient.items() if p.grad is None}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        self._save_at_rewind(pl_module, trainer.global_step, "it")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save_at_rewind(pl_module, trainer.current_epoch + 1, "ep")
        self._log_density(trainer)

    def _save_at_rewind(self, pl_module: pl.LightningModule, count: int, unit: str) -> None:
        reached = self.rewind != "init" and self.rewind.endswith(unit) and count >= int(self.rewind[:-2])
        if reached and self.round == 0 and self.rewind_state is None:
            self.rewind_state = selection.saved(self.network(pl_module))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._log_density(trainer)  # here too: a ModelCheckpoint that saves after validation reads it before the epoch ends

    def _log_density(self, trainer: pl.Trainer) -> None:
        if not trainer.barebones and self.rate is not None:
            name = f"density/{self.target}" if self.target else "density"
            self.log(name, self.density, sync_dist=trainer.world_size > 1)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.teardown(trainer, pl_module, "")  # Lightning does not

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.rate is None:
            return
        if not (self._trained or self._resumed):
            rank_zero_warn(f"nothing was trained in round {self.round}, so nothing is pruned after it.")
            return
        if self.rewind != "init" and self.rewind_state is None:
            raise UsageError(f"rewind={self.rewind} is not accepted: round 0 ended after {trainer.global_step} steps, before it.")
        if self._trained and self._without_gradient:
            self.masks = selection.with_gradient(self.masks, self._without_gradient)
        network, keep = self.network(pl_module), M.kept_after(M.kept(self.masks), self.rate)
        self._next = criteria.prune(
            self.criterion, self.masks, keep, seed=lambda: (self._seed + self.round) % 2**63,
            weights=lambda: {name: network.get_parameter(name).detach() for name in self.masks},
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed fit, or another process, needs: the round, masks, next masks and weights to start from."""
        self._saved = True
        masks = {"masks": M.to_state(self.masks or {}), "next": M.to_state(self._next or {})}
        return {"round": self.round, "init": self.init or {}, "rewind_state": self.rewind_state or {}, **masks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned, unless the checkpoint is loaded to be evaluated: Lightning restores callbacks
        then, too. Raises InvariantError where the masks are not the ones that were saved."""
        if self._stage not in (None, "fit"):
            return
        self.round, self.masks = state_dict["round"], M.from_state(state_dict["masks"]) or None
        self.init, self.rewind_state = state_dict["init"] or None, state_dict["rewind_state"] or None
        self._next = M.from_state(state_dict["next"]) or None
        # A state saved since this fit was set up resumes no round: LearningRateFinder saves and restores before it begins.
        self._resumed = not self._saved
