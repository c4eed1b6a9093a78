"""One round: its ticket, its training, its proofs, its folder."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lth.config import Config
from lth.data.module import ImageData
from lth.data.split import Splits
from lth.errors import UsageError
from lth.models import flops
from lth.models.build import build
from lth.pruning import masks as M
from lth.pruning.criteria import magnitude
from lth.rounds import board, device, files, proof, record
from lth.rounds import ticket as tickets
from lth.rounds.fit import fit
from lth.rounds.history import History
from lth.rounds.key import Spec
from lth.rounds.prefix import Prefix
from lth.rounds.store import Store
from lth.rounds.ticket import Ticket


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
        self.config, self.splits, self.device, self.store = config, splits, resolved, store
        torch.manual_seed(config.seed)
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

    def scope(self, *, all_of_it: bool = False) -> list[str]:
        """Names of the weights that are pruned; ``all_of_it``: every Conv and Linear weight, which round 0 may mask."""
        net, prune = self.model.net, self.config.prune
        if all_of_it:
            return M.prunable(net, scope="all")
        return M.prunable(net, head=prune.head, scope=prune.scope, head_name=self.model.head_name)

    def ticket(self, spec: Spec) -> tuple[Ticket, Ticket | None, int]:
        """The ticket of a round, its parent's, and the number of weights that it should keep."""
        if spec.parent is None:
            weights = dict(self.model.net.named_parameters())
            ticket = Ticket(M.dense({n: weights[n] for n in self.scope(all_of_it=True)}), self.initial)
            return ticket, None, M.size(ticket.masks)
        folder = self.store.folder(spec.parent.key)
        parent = tickets.load_ticket(folder)
        trained, _ = files.read_tensors(folder / "final.safetensors")
        before = {n: mask for n, mask in parent.masks.items() if n in set(self.scope())}
        if not before:
            raise UsageError(
                f"prune.scope={self.config.prune.scope} with prune.head={str(self.config.prune.head).lower()} and "
                f"finetune={self.config.finetune} leaves nothing to prune; prune.head=true or another scope does."
            )
        keep = M.kept_after(M.kept(before), self.config.prune.rate, spec.at_once)
        return Ticket(M.keep_top(magnitude(trained, before), before, keep), parent.rewind), parent, keep

    def train(self, spec: Spec, title: str) -> dict[str, Any] | None:
        """Train the round that ``spec`` asks for, write its folder, and return its record; its parent is finished.

        All ranks of a distributed run train; the first one writes, the others return None.
        """
        begin = time.perf_counter()
        ticket, parent, asked = self.ticket(spec)
        title = f"{title}, {ticket.density:.1%} of weights"
        if not device.is_first():
            self.fit(ticket, [], title)
            return None
        folder = self.store.start_over(spec.key, record.readable(self.config, spec, ticket))
        start = tickets.save_start(self.store.starts, ticket.rewind)
        loggers = board.loggers(self.config.logger.name, folder)
        scores, history, witness = self.fit(ticket, loggers, title)

        portrait = record.portrait(self.config, self.splits.classes, self.normalize)
        files.write_bytes(folder / "metrics.csv", history.csv())
        tickets.save_ticket(folder, ticket, start)
        files.write_tensors(folder / "final.safetensors", self.model.net.state_dict(), portrait)
        proofs = self.prove(folder, ticket, parent, asked, start, witness)
        written = {
            **record.facts(self.config, spec, ticket),
            **scores,
            "effective_density": proofs["layer_collapse"]["effective_density"],
            "layers": M.per_layer(ticket.masks),
            **record.sizes(self.initial, ticket, self.flops),
            "proof": proofs,
            "start": start,
            "files": {p.name: files.sha256(p) for p in sorted(folder.glob("*.safetensors"))},
            **portrait,
            "images": {"train": len(self.splits.train), "val": len(self.splits.val), "test": len(self.splits.test)},
            **record.machine(self.device),
            "seconds": round(time.perf_counter() - begin, 3),
        }
        board.show(loggers, written, self.model, self.splits)
        self.store.finish(folder, written)
        return written

    def fit(self, ticket: Ticket, loggers: list[Any], title: str) -> tuple[dict[str, Any], History, proof.Witness]:
        """Rewind, train, test; the network then holds the final weights."""
        M.rewind_(self.model.net, ticket.rewind, ticket.masks)
        self.prefix.run()
        return fit(self.model.train(), self.data, self.config, self.device, ticket, loggers, title)

    def prove(
        self, folder: Path, ticket: Ticket, parent: Ticket | None, asked: int, start: str, witness: proof.Witness
    ) -> dict[str, dict[str, Any]]:
        """The proofs of a round, from what it wrote where there is a file; raises ProofError if one does not hold."""
        weights, _ = files.read_tensors(folder / "final.safetensors")
        data = self.config.data
        proofs = {
            "exact_count": proof.exact_count(tickets.load_ticket(folder).masks, asked),
            "nested": proof.nested(ticket.masks, parent.masks if parent else None),
            "start": witness.start,
            "zeros": proof.zeros(witness.revived, weights, ticket.start, ticket.masks, set(M.prunable(self.model.net))),
            "untouched": proof.untouched(
                self.model.net, self.shapes, ticket.masks, self.scope(all_of_it=parent is None), weights, ticket.start
            ),
            "init_unchanged": {"holds": tickets.digest(ticket.rewind)[:16] == start, "init": start},
            "ranks": witness.ranks,
            "layer_collapse": proof.collapse(self.model.net, ticket.masks, (data.channels, data.image_size, data.image_size)),
        }
        proof.require(proofs)
        return proofs
