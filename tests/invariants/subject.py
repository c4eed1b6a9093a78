"""A tree of finished rounds, and one of its rounds whose files are damaged or forged."""

import copy
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.hashes import of_file, of_record
from lth.invariants.verify import Valid, check, generation, verify
from lth.models import flops
from lth.pruning import masks as M
from lth.training.search import search
from lth.tree import files
from lth.tree import ticket as tickets
from lth.tree.record import load
from lth.tree.store import Store
from lth.tree.ticket import Ticket

EXPERIMENTS = (
    {"rounds": 2, "controls": "reinit+shuffle+random+order+sign+dense"},
    {"rounds": 2, "schedule": "one_shot", "rate": 0.4},
    {"rounds": 2, "rewind": "9it", "controls": "reinit+shuffle", "control_rounds": "2"},
    {"rounds": 2, "retrain": "lr"},
    {"rounds": 2, "rewind": "sign"},
    {"rounds": 1, "retrain": "finetune", "rewind": "1ep"},
    {"rounds": 2, "allocation": "layerwise", "head_rate": 0.5},
    {"rounds": 1, "allocation": "erk", "head": False},
    {"rounds": 1, "criterion": "random", "scope": "backbone"},
    {"rounds": 2, "schedule": "gradual", "rate": 0.3, "every": 3},
)
TICKET = {"round": 2, "control": None, "allocation": "global", "retrain": "rewind", "rewind": "init", "rate": 0.2}


def experiment(images: Path, outputs: Path, **prune: Any) -> None:
    """Train a ResNet-20 of 5,000 weights."""
    data = Data(name="folder", root=str(images), image_size=8, batch_size=16, cache=str(outputs / "cache"))
    config = Config(
        seed=1, epochs=2, outputs=str(outputs), data=data, prune=Prune(**prune), model=Model("resnet20", width=0.125),
        trainer=Trainer(accelerator="cpu"), logger=Logger("none"),
    )  # fmt: skip
    search(config, say=lambda line: None)


def lines(outputs: Path) -> list[str]:
    """Return what verify prints."""
    printed: list[str] = []
    verify(outputs, say=printed.append)
    return printed


def validated(outputs: Path) -> Valid:
    """Check every round of a tree; return what ``check`` of one needs to know of the others."""
    store, valid = Store(outputs), Valid()
    assert not any(check(folder, store, valid) for folder in sorted(store.finished(), key=generation))
    return valid


class Subject:
    """A round of a valid tree, the ticket of round 2 unless ``fields`` say otherwise; ``check`` checks it alone, again."""

    def __init__(self, outputs: Path, valid: Valid | None = None, **fields: Any) -> None:
        fields = TICKET | fields
        self.store, self.valid = Store(outputs), dict(valid or validated(outputs))
        self.folder = next(f for f in self.store.finished() if all(getattr(load(f), k) == v for k, v in fields.items()))
        self.record = load(self.folder)
        self.facts = json.loads((self.folder / "round.json").read_text())
        self.ticket = tickets.load_ticket(self.folder)
        self.parent = tickets.load_ticket(self.store.folder(self.record.parent)) if self.record.parent else self.ticket
        self.final, self.about = tickets.load_final(self.folder)

    def check(self) -> str:
        return check(self.folder, self.store, self.valid)

    def write(self, facts: dict[str, Any], *, hashed: bool = True) -> str:
        """Write another round.json, with its hash computed again or not; return what verify says."""
        (self.folder / "round.json").write_text(json.dumps(facts | ({"hash": of_record(facts)} if hashed else {})))
        return self.check()

    def forge(self, ticket: Ticket | None = None, weights: dict[str, Tensor] | None = None, **changes: Any) -> str:
        """Write another ticket and other final weights, and compute every hash and number again; return what verify says."""
        ticket, new = ticket or self.ticket, copy.deepcopy(self.facts)
        masks = ticket.masks
        start = tickets.save_start(self.folder, ticket.rewind)
        tickets.save_ticket(self.folder, ticket, start)
        weights = M.apply(self.final, masks) if weights is None else weights
        files.write_tensors(self.folder / "final.safetensors", weights, self.about)
        new |= {"kept": M.kept(masks), "density": ticket.density, "layers": M.per_layer(masks), "start": start}
        new |= flops.sizes(new["parameters"], masks, new["layer_flops"]) | changes
        new["files"] = {name: of_file(self.folder / name) for name in new["files"]}
        new["checks"]["exact_count"] |= {"kept": new["kept"], "expected": new["kept"]}
        new["checks"]["init_unchanged"]["init"] = start
        new["checks"]["ranks"]["masks"] = M.hash_masks(masks)
        effective = min(ticket.density, self.facts["effective_density"])
        new["effective_density"] = new["checks"]["layer_collapse"]["effective_density"] = effective
        return self.write(new)
