"""What determines a round, hashed to its key. Imports no torch.

Round 0 is determined by the images, the model, the recipe and the seed; round k by its parent's key and the step that
leads to it. Fields at their default are left out, so a new option never renames old work.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lth.config import Config


@dataclass(frozen=True)
class Spec:
    """A round that is asked for: ``content`` is what its key hashes, ``at_once`` the rounds that its step stands for."""

    index: int
    content: dict[str, Any]
    parent: "Spec | None" = None
    at_once: int = 1

    @property
    def key(self) -> str:
        """12 hexadecimal digits."""
        return _hash(self.content)

    @property
    def recipe(self) -> str:
        """What replicates share: all that determines the dense network of this chain, but the seed. 12 digits."""
        root = self
        while root.parent is not None:
            root = root.parent
        return _hash({name: value for name, value in root.content.items() if name != "seed"})

    @property
    def step(self) -> str:
        """The prune step that leads to this round, hashed; empty for round 0."""
        return _hash(self.content["prune"]) if self.parent else ""


def _hash(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def determining(node: Any) -> dict[str, Any]:
    """The fields of a dataclass that are part of a key and not at their default, as plain values, nested likewise."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if not field.metadata.get("key", True):
            continue
        if dataclasses.is_dataclass(value):
            value = determining(value)
        elif value == (field.default if field.default_factory is dataclasses.MISSING else field.default_factory()):
            continue
        if value != {}:
            found[field.name] = value
    return found


def chain(config: Config, fingerprint: str, precision: str, weights: str | None = None) -> list[Spec]:
    """The rounds of one experiment, from the dense network on.

    Args:
        fingerprint: of the images, see ``data.split.Splits``.
        precision: resolved, see ``rounds.device``.
        weights: the hash of the pretrained weights' file, if there is one.
    """
    content = determining(config)
    step = content.pop("prune", {})
    content["data"] = {"fingerprint": fingerprint} | content.get("data", {})
    content |= {"precision": precision} if precision != "32-true" else {}
    content |= {"weights": weights} if weights is not None else {}
    specs = [Spec(0, content)]
    prune = config.prune
    at_once = prune.rounds if prune.schedule == "one_shot" else 1
    for index in range(1, prune.rounds // at_once + 1 if prune.rounds else 1):
        edge = step | ({"at_once": at_once} if at_once > 1 else {})
        specs.append(Spec(index, {"parent": specs[-1].key, "prune": edge}, specs[-1], at_once))
    return specs
