"""The record of a finished round: the schema of round.json, as one typed class with one reader. Imports no torch.

A new fact is a new field here: results.csv, DataFrames, tables, the report, TensorBoard and verify all read this class.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self, get_type_hints

from lth.errors import DataError
from lth.hashes import of_file, of_record
from lth.tree.spec import FORMAT

FILTERS = ("model", "data", "seed", "finetune")  # fields by which commands choose records
# The files of every finished round.
FILES = ("config.yaml", "final.safetensors", "metrics.csv", "start.safetensors", "ticket.safetensors")
UNFINISHED = "unfinished: it has no round.json yet"
DESCRIBED = ("format", "model", "classes", "image_size", "mean", "std")  # in round.json and final.safetensors


@dataclass(frozen=True, kw_only=True)
class Record:
    """The facts of a finished round. Accuracies, densities and rates are fractions, losses are in nats, times in seconds.

    ``None`` stands for what does not apply to a round: the rate of a dense network, the FLOPs of a network that lth cannot count.
    For a task that is no image classification the fields named ``acc`` hold the score that ``score`` names; larger is better.
    """

    # which round it is
    key: str
    name: str  # of its folder; ends in the key
    parent: str | None = None  # key of the round that it was pruned from, or of a control's ticket
    round: int
    control: str | None = None
    model: str
    finetune: str = "all"
    pretrained: bool = False
    data: str
    seed: int
    epochs: int
    rate: float | None = None
    levels: int = 1  # rounds that its prune step stands for; above 1 for one-shot and gradual pruning
    criterion: str | None = None
    allocation: str | None = None
    rewind: str | None = None
    retrain: str | None = None
    recipe: str  # what replicates share, hashed: all that determines the dense network but the seed
    family: str  # the recipe without the number of epochs
    origin: dict | None = None  # the round whose masks it has, where prune.ticket named one, see tree/origin.py
    step: str = ""  # the prune step that leads here, hashed; '' for round 0
    settings: dict = field(default_factory=dict)  # dotted keys of the configuration that are not at their default
    determined_by: dict = field(default_factory=dict)  # what the key hashes
    begin_iteration: int = 0  # of the rewind checkpoint

    # scores; ``early_stop``: at the lowest validation loss, ``best``: at the highest validation accuracy, else at the last epoch
    score: str = "acc"
    train_loss: float | None = None
    train_acc: float | None = None
    val_loss: float | None = None
    val_acc: float
    test_acc: float
    early_stop_epoch: int
    early_stop_iteration: int
    early_stop_train_loss: float | None = None
    early_stop_train_acc: float | None = None
    early_stop_val_loss: float
    early_stop_val_acc: float
    early_stop_test_acc: float
    censored: bool
    best_epoch: int | None = None
    best_iteration: int | None = None
    best_train_loss: float | None = None
    best_train_acc: float | None = None
    best_val_loss: float | None = None
    best_val_acc: float
    best_test_acc: float
    iterations: int
    images_per_second: float | None = None
    test_class_acc: dict | None = None  # class -> accuracy
    test_confusion: list | None = None  # counts, rows: true classes
    barrier: float | None = None
    line: dict | None = None  # ``alphas`` and ``errors`` between two copies; see training/connectivity.py
    test: str = ""  # hash of the list of test images that predictions.npy follows

    # the network
    kept: int
    prunable: int
    density: float
    effective_density: float | None = None
    layers: dict = field(default_factory=dict)  # parameter name -> density
    layer_weights: dict = field(default_factory=dict)  # parameter name -> number of weights
    parameters: int | None = None
    model_density: float | None = None  # of all parameters
    flops: int | None = None  # of one image, dense
    flops_remaining: int | None = None
    speedup: float | None = None  # theoretical
    layer_flops: dict = field(default_factory=dict)
    format: str | None = None  # of final.safetensors
    classes: list | None = None
    image_size: int | None = None
    mean: list | None = None
    std: list | None = None

    # where it comes from
    images: dict = field(default_factory=dict)  # ``train``, ``val``, ``test``: how many
    accelerator: str | None = None
    precision: str | None = None
    versions: dict = field(default_factory=dict)
    command: str | None = None
    finished: str = ""  # ISO 8601, UTC
    seconds: float
    start: str | None = None  # hash of the weights that it starts from, 16 digits
    checks: dict = field(default_factory=dict)  # invariant -> ``holds`` and the numbers that show it
    files: dict = field(default_factory=dict)  # file name -> SHA-256
    round_format: int = FORMAT
    hash: str = ""
    folder: Path | None = field(default=None, compare=False)  # where it was read; not in round.json

    @classmethod
    def of(cls, facts: Mapping[str, Any], folder: Path | None = None) -> Self:
        """Raises TypeError or ValueError naming a fact that is missing or not of its type."""
        known = {name: facts[name] for name in _kinds() if name in facts}
        for name, value in known.items():
            if not isinstance(value, _kinds()[name]) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{name}={value!r} is not accepted")
        return cls(**known, folder=folder)

    @property
    def gradual(self) -> bool:
        """Whether it was pruned while it trained, without its parent's weights."""
        return bool(self.round) and self.settings.get("prune.schedule") == "gradual"

    @property
    def isolated(self) -> bool:
        """Whether its masks were trained alone from weights that were rewound."""
        return self.retrain == "rewind" and not self.gradual

    @property
    def epochs_in_all(self) -> int:
        """Epochs of all trainings that it needed: of its chain, or of the one training of a gradual round."""
        return self.epochs if self.gradual else self.epochs * (self.round + 1)

    @property
    def held(self) -> bool:
        """Whether every invariant held while the round was trained."""
        return all(check["holds"] for check in self.checks.values())


@cache
def _kinds() -> dict[str, Any]:
    """Return the type of each field of round.json; where a float is accepted, an int is."""
    hints = {name: hint for name, hint in get_type_hints(Record).items() if name != "folder"}
    return {name: hint | int if isinstance(0.5, hint) else hint for name, hint in hints.items()}


def load(folder: Path) -> Record:
    """Return the record of a finished round's folder.

    Raises:
        FileNotFoundError: the round is not finished.
        DataError: round.json is not what was written, or of another round format.
    """
    path = folder / "round.json"
    try:
        facts = json.loads(path.read_bytes())
        if not isinstance(facts, dict) or facts.get("hash") != of_record(facts):
            raise ValueError("it does not match its hash")
        if facts.get("round_format") != FORMAT:
            raise ValueError(f"its round format is not {FORMAT}")
        return Record.of(facts, folder)
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged, or of another lth ({error}); delete the folder to train it again.") from error


def require_intact(record: Record) -> None:
    """Raise DataError naming a file of a finished round that is missing or does not match its hash."""
    for name, expected in record.files.items():
        path = record.folder / name
        if not path.is_file() or of_file(path) != expected:
            raise DataError(f"{path} is missing, or does not match its hash; delete the folder to train the round again.")


@dataclass
class Found:
    """``records`` of finished rounds in order of their folders' names; ``skipped``: (folder's name, why) of the others."""

    records: list[Record] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def skip(self, folder: str | Path, why: str) -> None:
        """Note, once, what is left out, without saying where the outputs lie: a report may travel."""
        if isinstance(folder, Path):
            folder, why = folder.name, why.replace(f"{folder.parent.parent}{os.sep}", "")
        if (folder, why) not in self.skipped:
            self.skipped.append((folder, why))


def read(outputs: Path, filters: Mapping[str, Sequence[str]] | None = None, known: Mapping[Path, Record] | None = None) -> Found:
    """Return the finished rounds of an outputs folder; unfinished and damaged ones and copies are skipped.

    Args:
        filters: field (one of FILTERS) -> the values that it may have, as text.
        known: by folder, records that were read before and are not read again; finished rounds never change.
    """
    found, keys = Found(), set()
    for folder in sorted(outputs.glob("rounds/[!.]*/")):
        try:
            record = (known or {}).get(folder) or load(folder)
        except FileNotFoundError:
            found.skip(folder, UNFINISHED)
            continue
        except (DataError, OSError) as error:
            found.skip(folder, str(error))
            continue
        if record.key in keys:
            found.skip(folder, f"a copy: another folder holds round {record.key}, too")
        elif all(str(getattr(record, name)) in values for name, values in (filters or {}).items()):
            found.records.append(record)
        keys.add(record.key)
    return found
