"""A tree of finished rounds, and one of its rounds on the doctor's table."""

import copy
import json
from pathlib import Path
from typing import Any

import torch

from lth.config import Config, Data, Logger, Model, Prune, Trainer
from lth.hashes import of_file, of_record
from lth.invariants.verify import Doctor, verify
from lth.pruning import masks as M
from lth.training import record
from lth.training.search import search
from lth.tree import files
from lth.tree import ticket as tickets
from lth.tree.store import Store, load
from lth.tree.ticket import Ticket

EXPERIMENTS = (
    {"rounds": 2, "controls": "reinit+shuffle+random+order+dense"},
    {"rounds": 2, "schedule": "one_shot", "rate": 0.4},
    {"rounds": 2, "rewind": "9it", "controls": "reinit+shuffle", "control_rounds": "2"},
    {"rounds": 2, "retrain": "lr"},
    {"rounds": 1, "retrain": "finetune", "rewind": "1ep"},
    {"rounds": 2, "allocation": "layerwise", "head_rate": 0.5},
    {"rounds": 1, "allocation": "erk", "head": False},
    {"rounds": 1, "criterion": "random", "scope": "backbone"},
)


def experiment(images: Path, outputs: Path, **prune: Any) -> list[dict[str, Any]]:
    """A ResNet-20 of 5,000 weights, so that every byte of its files can be flipped."""
    data = Data(name="folder", root=str(images), image_size=8, batch_size=16, cache=str(outputs / "cache"))
    config = Config(
        seed=1, epochs=2, outputs=str(outputs), data=data, prune=Prune(**prune), model=Model("resnet20", width=0.125),
        trainer=Trainer(accelerator="cpu"), logger=Logger("none"),
    )  # fmt: skip
    return search(config, say=lambda line: None)


def told(outputs: Path) -> list[str]:
    lines: list[str] = []
    verify(outputs, say=lines.append)
    return lines


class Patient:
    """A ticket's folder in a tree that was whole; ``ask`` examines it alone, again."""

    def __init__(self, outputs: Path, which: str = "*round02*", **fields: Any) -> None:
        self.doctor = Doctor(Store(outputs))
        whole = [line.split()[1] for line in told(outputs)[:-1]]  # parents first
        assert [self.doctor.check(outputs / "rounds" / name) for name in whole] == [""] * len(whole)
        fields = {"control": None, "allocation": "global", "retrain": "rewind", "rewind": "init", "rate": 0.2} | fields
        found = [p for p in sorted(outputs.glob(f"rounds/{which}")) if fields.items() <= load(p).items()]
        self.folder, self.record = found[0], load(found[0])
        self.ticket = tickets.load_ticket(self.folder)
        self.parent = tickets.load_ticket(Store(outputs).folder(self.record["parent"]))

    def ask(self) -> str:
        return self.doctor.check(self.folder)

    def write(self, record: dict[str, Any], *, sealed: bool) -> str:
        """What the doctor says of another round.json."""
        record = record | ({"hash": of_record(record)} if sealed else {})
        (self.folder / "round.json").write_text(json.dumps(record))
        return self.ask()

    def forge(self, ticket: Ticket, weights: dict[str, torch.Tensor] | None = None, **fields: Any) -> str:
        """What the doctor says of another ticket by someone who makes every hash and number anew."""
        start = tickets.save_start(self.folder, ticket.rewind)
        tickets.save_ticket(self.folder, ticket, start)
        final, about = files.read_tensors(self.folder / "final.safetensors")
        files.write_tensors(self.folder / "final.safetensors", weights or M.apply(final, ticket.masks), about)
        new = copy.deepcopy(self.record)
        new |= {"kept": M.kept(ticket.masks), "density": ticket.density, "layers": M.per_layer(ticket.masks), "start": start}
        new |= record.sizes(new["parameters"], ticket, new["layer_flops"]) | fields
        new["files"] = {name: of_file(self.folder / name) for name in record.sealed(new["test"])}
        new["checks"]["exact_count"] |= {"kept": new["kept"], "asked": new["kept"]}
        new["checks"]["init_unchanged"]["init"] = start
        new["checks"]["ranks"]["masks"] = M.hash_masks(ticket.masks)
        effective = min(ticket.density, self.record["effective_density"])
        new["effective_density"] = new["checks"]["layer_collapse"]["effective_density"] = effective
        return self.write(new, sealed=True)
