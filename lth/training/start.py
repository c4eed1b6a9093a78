"""From a round that is asked for to what its training starts from: masks, weights, optimiser state, position."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lth.config import Config
from lth.data.module import ImageData
from lth.errors import UsageError
from lth.models.build import build
from lth.models.classifier import Classifier
from lth.pruning import allocation, criteria
from lth.pruning import masks as M
from lth.seeds import stream
from lth.training import checkpoint as point
from lth.training import controls
from lth.training.checkpoint import Point
from lth.tree import files
from lth.tree import ticket as tickets
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket

State = dict[str, Tensor]


@dataclass(frozen=True)
class Attempt:
    """``begin``: position in schedule and data, optimiser state; ``order``: the seed of data order and dropout."""

    ticket: Ticket
    begin: Point
    order: int
    asked: int  # number of weights that the ticket is to keep
    parent: Ticket | None = None  # whose masks the ticket's are nested in
    original: Ticket | None = None  # of a control: the ticket that it changes
    finetune: bool = False  # at the schedule's last learning rate throughout


class Maker:
    """Makes the attempts of an experiment from its finished rounds.

    Args:
        initial: the state_dict at initialisation, on the CPU.
        reach: trains round 0 to a number of steps, and gives the point there.
        place: torch's name of the device that scores are computed on.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        model: Classifier,
        data: ImageData,
        initial: State,
        reach: Callable[[Spec, int], Point],
        place: str,
    ) -> None:
        self.config, self.store, self.model, self.data, self.initial, self.reach = config, store, model, data, initial, reach
        self.place = place

    def make(self, spec: Spec) -> Attempt:
        """The attempt at a round whose parent is finished."""
        if spec.control:
            return self._control(spec)
        return self._dense() if spec.parent is None else self._pruned(spec)

    def scope(self, *, all_of_it: bool = False) -> list[str]:
        """Names of the weights that are pruned; ``all_of_it``: every Conv and Linear weight, which round 0 may mask."""
        net, prune = self.model.net, self.config.prune
        if all_of_it:
            return M.prunable(net, scope="all")
        spare = [] if prune.head and prune.scope != "backbone" else [self.model.head_name]
        return M.prunable(net, spare=spare, scope=prune.scope)

    def require_weights(self) -> None:
        """Raise UsageError where the rounds that are asked for would leave no weight, or prune none in the last one."""
        prune, params = self.config.prune, dict(self.model.net.named_parameters())
        masks = M.dense({name: params[name] for name in self.scope()})
        if not prune.rounds or not masks:
            return
        left = [M.size(masks)]
        for k in range(1, prune.rounds + 1):
            left.append(allocation.total(self._keeps(masks, k)))
            if left[k] == 0 or (left[k] == left[k - 1] and prune.schedule == "imp"):
                what = "no weight would be left" if left[k] == 0 else f"none of the {left[k]} weights left would be pruned"
                raise UsageError(
                    f"prune.rounds={prune.rounds} is not accepted with prune.rate={prune.rate:g}: in round {k} {what}; "
                    f"it takes at most {k - 1}."
                )

    def _keeps(self, before: M.Masks, rounds: int) -> allocation.Keep:
        """How many of the weights of ``before`` are kept after ``rounds`` rounds."""
        prune, backbone = self.config.prune, set(M.prunable(self.model.net, spare=[self.model.head_name], scope="all"))
        head = [name for name in before if name not in backbone]
        return allocation.keeps(before, prune.rate, rounds, allocation=prune.allocation, head=head, head_rate=prune.head_rate)

    def trained(self) -> list[str]:
        """Names of the parameters that are trained, and of the buffers of their modules."""
        modules = [(n, m) for n, m in self.model.net.named_modules() if any(p.requires_grad for p in m.parameters(recurse=False))]
        found = {f"{n}.{k}" if n else k for n, m in modules for k, _ in m.named_buffers(recurse=False)}
        return sorted(found | {n for n, p in self.model.net.named_parameters() if p.requires_grad})

    def step(self) -> int:
        """The optimiser steps of round 0 before the point that ``prune.rewind`` names."""
        per_epoch = self.data.batches(self.config.trainer.devices)
        return point.steps(self.config.prune.rewind, per_epoch, per_epoch * self.config.epochs)

    def point_of(self, spec: Spec) -> Point:
        """The point that ``prune.rewind`` names; its state is empty where that is the initialisation."""
        return self.reach(spec.root, self.step()) if self.step() else Point(0, {})

    def _dense(self) -> Attempt:
        weights = dict(self.model.net.named_parameters())
        ticket = Ticket(M.dense({n: weights[n] for n in self.scope(all_of_it=True)}), self.initial)
        return Attempt(ticket, Point(0, {}), self.config.seed, M.size(ticket.masks))

    def _pruned(self, spec: Spec) -> Attempt:
        prune = self.config.prune
        folder = self.store.whole(spec.parent.key)
        parent = tickets.load_ticket(folder)
        trained, _ = files.read_tensors(folder / "final.safetensors")
        before = {n: mask for n, mask in parent.masks.items() if n in set(self.scope())}
        if not before:
            raise UsageError(
                f"prune.scope={prune.scope} with prune.head={str(prune.head).lower()} and "
                f"finetune={self.config.finetune} leaves nothing to prune; prune.head=true or another scope does."
            )
        begin = self.point_of(spec)
        rewind = trained if prune.retrain != "rewind" else begin.state or parent.rewind
        keep = self._keeps(before, spec.levels)
        ticket = Ticket(self._masks(spec, before, keep, trained, rewind), rewind)
        return Attempt(
            ticket, self._beginning(begin, ticket.masks), self.config.seed, allocation.total(keep), parent,
            finetune=prune.retrain == "finetune",
        )  # fmt: skip

    def _beginning(self, begin: Point, masks: M.Masks, *, moments: bool = True) -> Point:
        """Position, draws and, where weights are rewound with all that belongs to them, the optimiser's state."""
        held = point.masked(begin.moments, masks) if moments and self.config.prune.retrain == "rewind" else {}
        return replace(begin, state={}, moments=held)

    def _masks(self, spec: Spec, before: M.Masks, keep: int | dict[str, int], trained: State, start: State) -> M.Masks:
        """The masks of a round; ``trained``: its parent's final weights, ``start``: those that it starts from."""
        prune, net = self.config.prune, self.model.net
        if prune.criterion == "magnitude":
            return M.keep_top(criteria.magnitude(trained, before), before, keep)
        if prune.criterion == "random":
            return M.keep_top(criteria.random(before, stream("random criterion", self.config.seed, spec.index)), before, keep)
        everything = M.dense(before)
        self.model.to(self.place)
        M.rewind_(net, start, everything)
        shape = (len(self.data.mean), *[self.config.data.image_size] * 2)
        if prune.criterion == "synflow":
            return criteria.exponential(lambda masks: criteria.synflow(net, masks, shape), before, keep)
        images, labels = self._images()
        score = criteria.snip if prune.criterion == "snip" else criteria.grasp
        return M.keep_top(score(net, before, images, labels), before, keep)

    def _images(self) -> tuple[Tensor, Tensor]:
        """``prune.score_images`` training images of each class, drawn by the seed, without augmentation."""
        splits, generator = self.data.splits, np.random.default_rng(stream("score images", self.config.seed))
        labels = splits.train_images.labels[splits.train]
        count = self.config.prune.score_images
        chosen = np.concatenate([generator.permutation(splits.train[labels == k])[:count] for k in np.unique(labels)])
        images = self.data.to_float(torch.from_numpy(splits.train_images.take(chosen)))
        return images.to(self.place), torch.from_numpy(splits.train_images.labels[chosen]).to(self.place)

    def _control(self, spec: Spec) -> Attempt:
        original = tickets.load_ticket(self.store.whole(spec.parent.key))
        ticket = controls.changed(original, spec.control, self.config.seed, self._fresh)
        begin = self.point_of(spec) if spec.index else Point(0, {})
        return Attempt(
            ticket, self._beginning(begin, ticket.masks, moments=spec.control != "reinit"),
            controls.order_seed(spec.control, self.config.seed), M.kept(original.masks), original=original,
            finetune=spec.index > 0 and self.config.prune.retrain == "finetune",
        )  # fmt: skip

    def _fresh(self, seed: int) -> State:
        """Newly drawn values of all that is trained."""
        torch.manual_seed(seed)
        state = build(self.config, len(self.data.splits.classes)).net.state_dict()
        return {name: state[name].clone() for name in self.trained()}
