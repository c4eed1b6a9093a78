"""One round: its ticket, its training, its proofs, its folder."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lth.config import Config
from lth.data.module import ImageData
from lth.data.split import Splits
from lth.hashes import of_file, of_tensors
from lth.invariants import monitor as proof
from lth.models import flops
from lth.models.build import build
from lth.pruning import masks as M
from lth.seeds import stream
from lth.tracking import loggers
from lth.tracking.remaining import Remaining
from lth.tracking.round import log_round
from lth.training import checkpoint as point
from lth.training import connectivity, controls, device, record
from lth.training.checkpoint import Capture, Point
from lth.training.fit import fit
from lth.training.history import History
from lth.training.prefix import Prefix
from lth.training.start import Attempt, Maker
from lth.tree import files, predictions
from lth.tree import ticket as tickets
from lth.tree.record import Record
from lth.tree.spec import Spec
from lth.tree.store import Store


class Lab:
    """What survives from round to round in a process: the images, the network, the last ticket."""

    def __init__(
        self,
        config: Config,
        splits: Splits,
        resolved: device.Device,
        store: Store,
        weights: Path | None,
        say: Callable[[str], None],
    ) -> None:
        device.keep_memory()
        if config.trainer.deterministic:
            device.repeat()  # features and scores, too, which no Trainer computes
        self.config, self.splits, self.device, self.store = config, splits, resolved, store
        torch.manual_seed(stream("initialisation", config.seed))
        self.model = build(config, len(splits.classes), weights)
        self.initial = {n: t.clone() for n, t in self.model.net.state_dict().items()}
        self.shapes = proof.shapes(self.model.net)
        self.flops = flops.per_layer(self.model.net, config.data.image_size, config.data.channels)
        if config.trainer.channels_last:
            self.model.net.to(memory_format=torch.channels_last)
        if config.trainer.compile:
            self.model.net.compile()
        data = config.data
        self.normalize = self.model.normalize if data.normalize == "auto" else data.normalize
        self.data = ImageData(splits, data.batch_size, config.seed, self.normalize, data.augment, data.workers, data.channels)
        self.prefix = Prefix(config, self.model, self.data, resolved, say)
        self.maker = Maker(config, store, self.model, self.data, self.initial, self.reach, resolved.place())
        self.maker.require_weights()

    def train(self, spec: Spec, title: str, outlook: Remaining) -> dict[str, Any] | None:
        """Train the round that ``spec`` asks for, write its folder, and return its record; its parent is finished.

        All ranks of a distributed run train; the first one writes, the others return None.
        """
        begin = time.perf_counter()
        attempt = self.maker.make(spec)
        ticket = attempt.ticket
        title = f"{title}, {ticket.density:.1%} of weights{f', {spec.control}' if spec.control else ''}"
        if not device.is_first():
            self.fit(spec, attempt, [], title, outlook)
            return None
        folder = self.store.start_over(spec.key, record.readable(self.config, spec, ticket))
        files.write_bytes(folder / "config.yaml", record.resolved(self.config, spec))
        start = tickets.save_start(folder, ticket.rewind, self._same_start(spec, ticket))
        logging = loggers.make(self.config.logger, folder, self.store.outputs)
        scores, history, witness = self.fit(spec, attempt, logging, title, outlook)

        portrait = record.portrait(self.config, self.splits.classes, self.normalize)
        files.write_bytes(folder / "metrics.csv", history.csv())
        tickets.save_ticket(folder, ticket, start)
        files.write_tensors(folder / "final.safetensors", self.model.net.state_dict(), portrait)
        proofs = self.prove(spec, folder, attempt, start, witness)
        line = self._line(spec) if spec.control == "order" else {}
        test = predictions.write(folder, torch.cat(self.model.predictions).numpy(), self.splits)
        written = {
            **record.facts(self.config, spec, ticket),
            **scores,
            "effective_density": proofs["layer_collapse"]["effective_density"],
            "layers": M.per_layer(ticket.masks),
            **record.sizes(sum(p.numel() for p in self.model.net.parameters()), ticket, self.flops),
            **line,
            "test": test,
            "checks": proofs,
            "start": start,
            "begin_iteration": attempt.begin.step,
            "files": {name: of_file(folder / name) for name in record.sealed(test)},
            **portrait,
            "images": {"train": len(self.splits.train), "val": len(self.splits.val), "test": len(self.splits.test)},
            **record.machine(self.device),
            "seconds": round(time.perf_counter() - begin + history.before, 3),
        }
        log_round(logging, Record.of(written, folder), torch.cat(self.model.predictions).numpy(), self.splits)
        return self.store.finish(folder, written)

    def _same_start(self, spec: Spec, ticket: tickets.Ticket) -> Path | None:
        """The folder of the parent, if it starts from the same weights."""
        same = spec.parent is not None and self.store.read(spec.parent.key)["start"] == of_tensors(ticket.rewind)[:16]
        return self.store.folder(spec.parent.key) if same else None

    def fit(
        self, spec: Spec, attempt: Attempt, loggers: list[Any], title: str, outlook: Remaining
    ) -> tuple[dict[str, Any], History, proof.Witness]:
        """Rewind, train, test; the network then holds the final weights."""
        capture = None
        if spec.parent is None and self.config.prune.rounds and (step := self.maker.step()):
            capture = Capture(step, lambda found: point.save(self.store.point(spec.key, step), found))
        place = self.store.partial(spec.key) if self.config.trainer.devices == 1 else None
        return self._run(attempt, epochs=spec.epochs, loggers=loggers, title=title, outlook=outlook, capture=capture, place=place)

    def _run(self, attempt: Attempt, **how: Any) -> tuple[dict[str, Any], History, proof.Witness]:
        M.rewind_(self.model.net, attempt.ticket.rewind, attempt.ticket.masks)
        self.prefix.run()
        return fit(self.model.train(), self.data, self.config, self.device, attempt, **how)

    def _line(self, spec: Spec) -> dict[str, Any]:
        """How this copy of a network is connected with its ticket's round, which saw the images in another order."""
        one, _ = files.read_tensors(self.store.whole(spec.parent.key) / "final.safetensors")
        other = {n: t.detach().cpu().clone() for n, t in self.model.net.state_dict().items()}
        found = connectivity.line(self.model.to(self.device.place()), self.data, one, other)
        return {"barrier": found["barrier"], "line": found}

    def reach(self, root: Spec, step: int) -> Point:
        """The point of round 0 after ``step`` steps: noted when it was trained, or else trained again up to there."""
        path = self.store.point(root.key, step)
        if (found := point.found(path)) is not None:
            return found
        capture = Capture(step, lambda reached: point.save(path, reached))
        title = f"round 0 again, to iteration {step}"
        self._run(self.maker.make(root), epochs=root.epochs, loggers=[], title=title, capture=capture, until=step)
        return point.load(path)

    def prove(self, spec: Spec, folder: Path, attempt: Attempt, start: str, witness: proof.Witness) -> dict[str, dict[str, Any]]:
        """The proofs of a round, from what it wrote where there is a file; raises InvariantError if one does not hold."""
        ticket, parent = attempt.ticket, attempt.parent
        weights, _ = files.read_tensors(folder / "final.safetensors")
        data = self.config.data
        scope = self.maker.scope(all_of_it=spec.index == 0)
        proofs = {
            "exact_count": proof.exact_count(tickets.load_ticket(folder).masks, attempt.asked),
            "nested": proof.nested(ticket.masks, parent.masks if parent else None),
            "start": witness.start,
            "zeros": proof.zeros(witness.revived, weights, ticket.start, ticket.masks, set(M.prunable(self.model.net))),
            "untouched": proof.untouched(self.model.net, self.shapes, ticket.masks, scope, weights, ticket.start),
            "init_unchanged": {"holds": of_tensors(ticket.rewind)[:16] == start, "init": start},
            "ranks": witness.ranks,
            "layer_collapse": proof.collapse(self.model.net, ticket.masks, (data.channels, data.image_size, data.image_size)),
        }
        if attempt.original is not None:
            other = attempt.order != self.config.seed
            proofs["control"] = controls.differs_in_one(spec.control, ticket, attempt.original, self.maker.trained(), other)
        proof.require(proofs)
        return proofs
