"""What determines a round, hashed to its key. Imports no torch.

Round 0 is determined by the images, the model, the recipe and the seed; round k by its parent's key and the prune step that
leads to it; a control by the key of its ticket and the one thing that it changes. Fields at their default are left out, so a
new option never renames old work; so are fields that have no effect beside the others, such as the momentum of Adam.
"""

import dataclasses
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

from lth.config import CONTROLS, OWN, Config, Prune
from lth.errors import UsageError
from lth.hashes import of_json

FORMAT = 2  # of a round: what its numbers mean and which streams they are drawn from; 1 until November 2026
DRAWN = ("val", "test")  # parts that are drawn from the training folder, where a data set has no folders of their own


@dataclass(frozen=True)
class Spec:
    """A round that is asked for.

    Args:
        index: number of the round; a control has that of its ticket.
        content: what the key hashes.
        epochs: of its training.
        parent: of a control, its ticket; the compute-matched dense network has none.
        levels: rounds that its prune step stands for.
        control: the one thing in which it differs from its parent's ticket.
    """

    index: int
    content: dict[str, Any]
    epochs: int
    parent: "Spec | None" = None
    levels: int = 1
    control: str | None = None

    @property
    def key(self) -> str:
        """12 hexadecimal digits."""
        return of_json(self.content)[:12]

    @property
    def root(self) -> "Spec":
        """Round 0 of this chain."""
        return self if self.parent is None else self.parent.root

    @property
    def finetune(self) -> str:
        """What is trained, as the key has it."""
        return self.root.content.get("finetune", Config.finetune)

    @property
    def prune(self) -> dict[str, Any]:
        """What is not at its default in the prune step that leads to this round, or to the ticket of this control."""
        ticket = self.parent if self.control else self
        return ticket.content["prune"] if ticket.parent else {}

    @property
    def settings(self) -> dict[str, Any]:
        """The dotted keys of the configuration that determine this round's chain and are not at their default, but the seed."""
        root = self.root.content
        named = {"trainer.precision": root.get("precision"), "model.weights": root.get("weights")}
        groups = _without(root, "seed", "format", "data", "precision", "weights", "own") | {
            "data": _without(root.get("data", {}), "images"),
            "prune": _without(self.prune, "levels"),
        }
        return _flat(groups) | {name: value for name, value in named.items() if value is not None}

    @property
    def recipe(self) -> str:
        """What replicates share: all that determines the dense network of this chain, but the seed. 12 digits."""
        return of_json(_without(self.root.content, "seed", "initial"))[:12]

    @property
    def family(self) -> str:
        """What a network and the same trained for longer share: the recipe without the number of epochs. 12 digits."""
        return of_json(_without(self.root.content, "seed", "initial", "epochs"))[:12]

    @property
    def step(self) -> str:
        """The prune step that leads to this round, or to the ticket of this control, hashed; empty for round 0."""
        if self.parent is None:
            return ""
        return self.parent.step if self.control else of_json(self.content["prune"])[:12]


def _without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def determining(node: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that are part of a key and not at their default, as plain values, nested likewise."""
    content: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if not field.metadata.get("key", True):
            continue
        if dataclasses.is_dataclass(value):
            value = determining(value)
        elif value == (field.default if field.default_factory is dataclasses.MISSING else field.default_factory()):
            continue
        if value != {}:
            content[field.name] = value
    return content


def idle(config: Config, drawn: Collection[str] = DRAWN) -> set[str]:
    """Return the dotted keys that have no effect beside the others, whatever their value.

    Args:
        drawn: the parts of the data that are drawn from the training folder.
    """
    model, optim, prune = config.model, config.optim, config.prune
    normalize = "half" if model.name == "efficientnet_lite0" else "imagenet"  # what auto stands for
    norms = config.finetune != "all" and (model.name not in OWN or model.name == "resnet20")
    without_effect = {
        "optim.momentum": optim.name != "sgd",
        "optim.gamma": optim.schedule != "step" or not optim.milestones,
        "optim.milestones": optim.schedule != "step",
        "model.dropout": model.name != "simple_cnn",
        "model.width": model.name != "resnet20",
        "model.head": model.name in (*OWN, "custom"),
        "model.frozen_bn": not norms,
        "prune.score_images": prune.criterion not in ("snip", "grasp"),
        "prune.scope": config.finetune == "all" and prune.scope == "all",
        "prune.head": prune.scope == "backbone",
        "data.normalize": config.data.normalize == normalize,
        "data.val_fraction": "val" not in drawn,
        "data.test_fraction": "test" not in drawn,
        "data.split_seed": not drawn,
    }
    return {key for key, holds in without_effect.items() if holds}


def effective(config: Config, drawn: Collection[str] = DRAWN) -> dict[str, Any]:
    """Return ``determining`` without the keys that are ``idle``; blocks in ``finetune`` are in alphabetical order, each once."""
    if config.finetune == "all" and config.prune.scope == "backbone":  # the same weights under two names
        config = replace(config, prune=replace(config.prune, scope="trainable", head=False))
    content = determining(config)
    for key in idle(config, drawn):
        group, _, name = key.partition(".")
        if content.get(group, {}).pop(name, None) is not None and not content[group]:
            del content[group]
    if "finetune" in content:
        content["finetune"] = "+".join(sorted(set(config.finetune.split("+"))))
    return content


def depth(prune: Prune) -> int:
    """Return the number of the last round of a chain: ``prune.rounds``, or 1 where they are taken in one step."""
    return min(prune.rounds, 1) if prune.schedule == "one_shot" else prune.rounds


def chain(config: Config, images: str, precision: str, weights: str | None = None, drawn: Collection[str] = DRAWN) -> list[Spec]:
    """Return the rounds of an experiment on images, from the dense network on, without controls.

    Args:
        images: hash of the images, see ``data.split.Splits``.
        precision: resolved, see ``training.device``.
        weights: hash of the pretrained weights' file, if there is one.
        drawn: see ``idle``.
    """
    content = effective(config, drawn)
    prune = content.pop("prune", {})
    content |= {"format": FORMAT, "data": {"images": images} | content.get("data", {})}
    content |= {"precision": precision} if precision != "32-true" else {}
    content |= {"weights": weights} if weights is not None else {}
    return chain_of(content, config.epochs, config.prune, prune)


def own_chain(config: Config, own: dict[str, Any], initial: str, function: str | None = None) -> list[Spec]:
    """Return the rounds of an experiment with a module and data of one's own, see ``training.own``.

    Args:
        own: what identifies them: name, versions, hyper-parameters, plain values.
        initial: hash of the initial weights.
        function: name of a criterion of one's own.
    """
    content = determining(Config(seed=config.seed, epochs=config.epochs)) | {"format": FORMAT, "own": own, "initial": initial}
    step = effective(config).get("prune", {}) | ({"function": function} if function else {})
    return chain_of(content, config.epochs, config.prune, step)


def chain_of(content: dict[str, Any], epochs: int, prune: Prune, step: dict[str, Any]) -> list[Spec]:
    """Return round 0, determined by ``content``, and the rounds that the prune step ``step`` leads to."""
    specs = [Spec(0, content, epochs)]
    levels = prune.rounds if prune.schedule == "one_shot" else 1
    for index in range(1, depth(prune) + 1):
        prune_step = step | ({"levels": levels} if levels > 1 else {})
        specs.append(Spec(index, {"parent": specs[-1].key, "prune": prune_step}, epochs, specs[-1], levels))
    return specs


def restored(content: dict[str, Any], parent: Spec | None) -> Spec:
    """Return the spec of a finished round, from what determined it and its parent's spec."""
    if parent is None:
        return Spec(0, content, content.get("epochs", Config.epochs))
    if control := content.get("control"):
        return Spec(parent.index, content, parent.epochs, parent, parent.levels, control)
    return Spec(parent.index + 1, content, parent.epochs, parent, content["prune"].get("levels", 1))


def controls(prune: Prune, specs: list[Spec]) -> list[Spec]:
    """Return the controls that ``prune`` asks for, of the rounds of a chain; round 0 has none but ``order``.

    Raises:
        UsageError: a round is named that the chain does not have.
    """
    if prune.controls == "none":
        return []
    kinds = [kind for kind in CONTROLS if kind != "order"] if prune.controls == "all" else _once(prune.controls.split("+"))
    wanted = range(len(specs)) if prune.control_rounds == "all" else _once(map(int, prune.control_rounds.split("+")))
    if beyond := [k for k in wanted if k >= len(specs)]:
        raise UsageError(
            f"prune.control_rounds={prune.control_rounds} is not accepted: there is no round {beyond[0]}; "
            f"it takes all, or numbers up to {len(specs) - 1} joined by '+'."
        )
    return [_control(specs[k], kind) for k in wanted for kind in kinds if k > 0 or kind == "order"]


def _once(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _control(ticket: Spec, kind: str) -> Spec:
    if kind != "dense":
        return Spec(ticket.index, {"parent": ticket.key, "control": kind}, ticket.epochs, ticket, ticket.levels, kind)
    epochs = ticket.epochs * (ticket.index + 1)  # of all trainings of the ticket's chain
    content = _without(ticket.root.content, "epochs")
    return Spec(0, content | ({"epochs": epochs} if epochs != Config.epochs else {}), epochs)
