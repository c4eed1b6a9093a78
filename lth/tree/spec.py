"""What determines a round, hashed to its key. Imports no torch.

Round 0 is determined by the images, the model, the recipe and the seed; round k by its parent's key and the prune step that
leads to it; a control by the key of its ticket and the one thing that it changes. Fields at their default are left out, so a
new option never renames old work; so are fields that have no effect beside the others, such as the momentum of Adam.
"""

import dataclasses
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from lth.config import CONTROLS, OWN, Config, Prune
from lth.errors import UsageError
from lth.hashes import of_json

FORMAT = 2  # of a round: what its numbers mean and which streams they are drawn from
# Keys by which masks are found, and which have no effect on those that another round found.
FOUND = ("prune.rate", "prune.criterion", "prune.allocation", "prune.head_rate", "prune.score_images")
GRADUAL = ("prune.begin", "prune.end", "prune.every")  # keys that have an effect with prune.schedule=gradual alone
DRAWN = ("val", "test")  # parts that are drawn from the training folder, where a data set has no folders of their own


class Spec:
    """A round that is asked for.

    Args:
        content: what the key hashes.
        parent: the round that it is pruned from; of a control, its ticket. The compute-matched dense network has none.

    Attributes:
        key: 12 hexadecimal digits.
        control: the one thing in which it differs from its parent's ticket; None: it is no control.
        root: round 0 of its chain.
        index: number of the round; a control has that of its ticket.
        prune: what is not at its default in the prune step that leads to it, or to the ticket of a control.
        origin: of masks that another round found, what is of one seed, see ``origin.content``; else None.
        levels: rounds that the prune step stands for.
        gradual: whether it is pruned while it trains, from the start of round 0; such a round takes the epochs of its levels.
        epochs: of its training.
        finetune: as the key has it.
        recipe: what replicates share, hashed: all that determines the dense network of its chain, but the seed.
        family: the recipe without the number of epochs.
    """

    def __init__(self, content: dict[str, Any], parent: "Spec | None" = None) -> None:
        self.content, self.parent, self.key = content, parent, _digits(content)
        self.control: str | None = content.get("control")
        self.root: Spec = parent.root if parent else self
        self.index: int = parent.index + (self.control is None) if parent else 0
        self.prune: dict[str, Any] = parent.prune if parent and self.control else content.get("prune", {})
        self.origin: dict[str, Any] | None = parent.origin if parent and self.control else content.get("origin")
        self.levels: int = self.prune.get("levels", 1)
        epochs: int = self.root.content.get("epochs", Config.epochs)
        self.gradual = self.prune.get("schedule") == "gradual"
        self.epochs = epochs * (self.levels + 1) if self.gradual else epochs
        self.finetune: str = self.root.content.get("finetune", Config.finetune)
        self.recipe = _digits(_without(self.root.content, "seed", "initial"))
        self.family = _digits(_without(self.root.content, "seed", "initial", "epochs"))

    def facts(self) -> dict[str, Any]:
        """Return the fields of a ``Record`` that follow from this spec."""
        root = self.root.content
        step = {name: self.prune.get(name, getattr(Prune, name)) for name in ("rate", "allocation", "rewind", "retrain")}
        step["criterion"] = self.prune.get("function") or self.prune.get("criterion", Prune.criterion)
        step |= dict.fromkeys(("rate", "criterion", "allocation")) if self.origin else {}
        return {
            **{name: getattr(self, name) for name in ("key", "control", "finetune", "epochs", "levels", "recipe", "family")},
            **(step if self.index else dict.fromkeys(step)),
            "parent": self.parent.key if self.parent else None,
            "round": self.index,
            "seed": root.get("seed", Config.seed),
            "step": _digits(self.prune) if self.index else "",
            "settings": self._settings(),
            "determined_by": self.content,
        }

    def _settings(self) -> dict[str, Any]:
        root = self.root.content
        named = {"trainer.precision": root.get("precision"), "model.weights": root.get("weights")}
        groups = _without(root, "seed", "format", "data", "precision", "weights", "own") | {
            "data": _without(root.get("data", {}), "images"),
            "prune": _without(self.prune, "levels") | self._named_ticket(),
        }
        return flat(groups) | {name: value for name, value in named.items() if value is not None}

    def _named_ticket(self) -> dict[str, str]:
        arm = self.prune.get("ticket")
        return {"ticket": f"round {arm['round']} of {arm['recipe'][:6]}"} if arm else {}


def _digits(content: dict[str, Any]) -> str:
    return of_json(content)[:12]


def _without(content: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in names}


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested dicts as one dict with dotted keys."""
    result: dict[str, Any] = {}
    for name, value in content.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return result


def determining(node: Any, leave_out: Collection[str] = (), prefix: str = "") -> dict[str, Any]:
    """Return the fields of a dataclass that are part of a key and not at their default, nested likewise.

    Args:
        leave_out: dotted keys that are no part of it.
        prefix: what stands before the names of the fields in dotted keys.
    """
    content: dict[str, Any] = {}
    default = type(node)()
    for field in dataclasses.fields(node):
        value, name = getattr(node, field.name), prefix + field.name
        if not field.metadata.get("key", True) or name in leave_out or value == getattr(default, field.name):
            continue
        if dataclasses.is_dataclass(value):
            value = determining(value, leave_out, f"{name}.")
        if value != {}:
            content[field.name] = value
    return content


def idle(config: Config, drawn: Collection[str] = DRAWN) -> set[str]:
    """Return the dotted keys that have no effect beside the others, whatever their value.

    Args:
        drawn: the parts of the data that are drawn from the training folder.
    """
    model, optim, prune = config.model, config.optim, config.prune
    # what auto stands for; of timm's networks it is known to timm alone
    normalize = None if model.library == "timm" else "half" if model.name == "efficientnet_lite0" else "imagenet"
    norms = config.finetune != "all" and (model.name not in OWN or model.name == "resnet20")
    without_effect = {
        "optim.momentum": optim.name != "sgd",
        "optim.gamma": optim.schedule != "step" or not optim.milestones,
        "optim.milestones": optim.schedule != "step",
        "model.dropout": model.name != "simple_cnn",
        "model.width": model.name != "resnet20",
        "model.head": model.name in (*OWN, "custom"),
        "model.frozen_bn": not norms,
        **dict.fromkeys(GRADUAL, prune.schedule != "gradual"),
        **dict.fromkeys(("prune.budget", "prune.small"), prune.structure != "channels"),
        "prune.score_images": prune.criterion not in ("snip", "grasp"),
        "prune.scope": config.finetune == "all" and prune.scope == "all",
        "prune.head": prune.scope == "backbone",
        "data.normalize": config.data.normalize == normalize,
        "data.val_fraction": "val" not in drawn,
        "data.test_fraction": "test" not in drawn,
        "data.split_seed": not drawn,
    }
    found = FOUND if prune.ticket is not None else ()
    return {*found, *(key for key, holds in without_effect.items() if holds)}


def effective(config: Config, drawn: Collection[str] = DRAWN) -> dict[str, Any]:
    """Return ``determining`` without idle keys; what can be written in two ways is written in one."""
    if config.finetune == "all" and config.prune.scope == "backbone":
        config = replace(config, prune=replace(config.prune, scope="trainable", head=False))
    config = replace(config, finetune="+".join(sorted(set(config.finetune.split("+")))))
    return determining(config, idle(config, drawn))


def depth(prune: Prune) -> int:
    """Return the number of the last round of a chain."""
    # a pattern leaves nothing to prune again, nor do the masks of another round
    once = prune.schedule != "imp" or ":" in prune.structure or prune.ticket is not None
    return min(prune.rounds, 1) if once else prune.rounds


def chain(
    config: Config, images: str, precision: str, weights: str | None = None, drawn: Collection[str] = DRAWN,
    origin: dict[str, Any] | None = None,
) -> list[Spec]:  # fmt: skip
    """Return the rounds of an experiment on images, from the dense network on, without controls.

    Args:
        images: hash of the images, see ``data.split.Splits``.
        precision: resolved, see ``training.device``.
        weights: hash of the pretrained weights' file, if there is one.
        drawn: see ``idle``.
        origin: of the round that ``prune.ticket`` names, see ``origin.content``.
    """
    content = effective(config, drawn)
    step = content.pop("prune", {})
    content |= {"format": FORMAT, "data": {"images": images} | content.get("data", {})}
    if precision != "32-true":
        content["precision"] = precision
    if weights is not None:
        content["weights"] = weights
    return _chain(content, config.prune, step, origin)


def own_chain(config: Config, own: dict[str, Any], initial: str, function: str | None = None) -> list[Spec]:
    """Return the rounds of an experiment with a module and data of one's own, see ``training.own``.

    Args:
        own: what identifies them: name, versions, hyper-parameters, plain values.
        initial: hash of the initial weights.
        function: name of a criterion of one's own.
    """
    content = determining(Config(seed=config.seed, epochs=config.epochs))
    content |= {"format": FORMAT, "own": own, "initial": initial}
    step = effective(config).get("prune", {}) | ({"function": function} if function else {})
    return _chain(content, config.prune, step)


def _chain(content: dict[str, Any], prune: Prune, step: dict[str, Any], origin: dict[str, Any] | None = None) -> list[Spec]:
    """Return round 0, determined by ``content``, and the rounds that the prune step ``step`` leads to."""
    leads = {"prune": step}
    if origin:
        leads = {"prune": step | {"ticket": origin["ticket"]}, "origin": _without(origin, "ticket")}
    elif prune.schedule == "one_shot" and prune.rounds > 1 and ":" not in prune.structure:
        leads = {"prune": step | {"levels": prune.rounds}}
    elif prune.schedule == "gradual":
        leads = {"prune": step | {"levels": prune.rounds, "schedule": "gradual"}}
    specs = [Spec(content)]
    for _ in range(depth(prune)):
        specs.append(Spec({"parent": specs[-1].key, **leads}, specs[-1]))
    return specs


def controls(prune: Prune, specs: list[Spec]) -> list[Spec]:
    """Return the controls that ``prune`` asks for, of the rounds of a chain; round 0 has none but ``order``.

    Raises:
        UsageError: a round is named that the chain does not have.
    """
    if prune.controls == "none":
        return []
    kinds, wanted = dict.fromkeys(prune.controls.split("+")), range(len(specs))
    if prune.controls == "all":
        kinds = [kind for kind in CONTROLS if kind not in ("order", "sign")]
    if prune.control_rounds != "all":
        wanted = dict.fromkeys(map(int, prune.control_rounds.split("+")))
    if max(wanted) >= len(specs):
        raise UsageError(
            f"prune.control_rounds={prune.control_rounds} is not accepted: there is no round {max(wanted)}; "
            f"it takes all, or numbers up to {len(specs) - 1} joined by '+'."
        )
    return [_control(specs[k], kind) for k in wanted for kind in kinds if k > 0 or kind == "order"]


def _control(ticket: Spec, kind: str) -> Spec:
    if kind != "dense":
        return Spec({"parent": ticket.key, "control": kind}, ticket)
    epochs = ticket.epochs if ticket.gradual else ticket.epochs * (ticket.index + 1)  # of all trainings of the ticket's chain
    content = _without(ticket.root.content, "epochs")
    return Spec(content | ({"epochs": epochs} if epochs != Config.epochs else {}))
