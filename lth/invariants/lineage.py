"""What a finished round's files show beside its parent's; each check raises DataError with what is broken, in one sentence.

A ticket's masks are asked for again from its parent's: their number always, and with ``prune.criterion=magnitude``, which
looks at nothing but the parent's final weights, each single one. A start is compared with what it was rewound to.
"""

from typing import Any

from lth.config import Model, Prune
from lth.hashes import differing
from lth.invariants.files import Finished, edge, require, same
from lth.pruning import allocation, criteria
from lth.pruning import masks as M
from lth.training import checkpoint as point
from lth.training import controls
from lth.tree.store import Store

# Of one chain: the same images, network and number of steps.
SHARED = ("images", "classes", "mean", "std", "iterations", "parameters", "flops", "layer_flops")


def check(found: Finished, parent: Finished | None, root: dict[str, Any], store: Store) -> None:
    """All that a round shares with its parent, which is whole; ``root``: the record of its round 0."""
    if parent is None:
        return _dense(found)
    same(found.record, {name: parent.record[name] for name in SHARED})
    require(parent.spec.control is None, f"its parent is the control {parent.spec.control}.")
    prune = edge(found.spec)
    _begins(found, prune, root)
    if found.spec.control:
        return _control(found, parent)
    layers = list(root["layer_weights"])
    head = _head(layers, found.spec.root.content)
    _scope(found, parent, prune, layers, head)
    _nested(found, parent)
    _exact(found, parent, prune, head)
    return _rewound(found, parent, prune, store)


def _dense(found: Finished) -> None:
    """Round 0 keeps everything; a Conv or Linear layer without a mask would escape all later counts.

    Other weights that are multiplied have a mask where they are to be pruned; attention's products are no weights.
    """
    require(all(bool(mask.all()) for mask in found.ticket.masks.values()), "round 0 is not dense.")
    layers = {name for name in found.record["layer_flops"] if name.endswith(".weight")}
    require(set(found.ticket.masks) >= layers, "round 0 has no mask for a layer that it could have.")
    same(found.record, {"begin_iteration": 0})
    require(found.record["iterations"] % found.spec.epochs == 0, "its iterations are no whole number of epochs.")


def _begins(found: Finished, prune: Prune | None, root: dict[str, Any]) -> None:
    """Training begins at the step that ``prune.rewind`` names."""
    per_epoch = root["iterations"] // root["epochs"]
    same(found.record, {"begin_iteration": point.steps(prune.rewind, per_epoch, root["iterations"]) if prune else 0})


def _head(layers: list[str], content: dict[str, Any]) -> list[str]:
    """The weights of the head: the last layer's; with ``model.head=mlp`` those of all layers of its module."""
    module = layers[-1].removesuffix(".weight")
    parent = module.rpartition(".")[0]  # empty for our own networks, whose head is one layer
    if parent and content.get("model", {}).get("head", Model.head) == "mlp":
        module = parent
    return [name for name in layers if name.startswith(f"{module}.")]


def _scope(found: Finished, parent: Finished, prune: Prune, layers: list[str], head: list[str]) -> None:
    """The layers that are pruned: as the configuration names them where it does, and the same in every round of a chain."""
    names = list(found.ticket.masks)
    spared = [] if prune.head and prune.scope != "backbone" else head
    allowed = [name for name in layers if name not in spared]
    if prune.scope != "trainable" or found.spec.root.content.get("finetune", "all") == "all":
        require(names == allowed, "the masks are not those of the layers that are to be pruned.")
    require(set(names) <= set(allowed), "a layer is masked that is not to be pruned.")
    if parent.spec.parent is not None:
        require(names == list(parent.ticket.masks), "the masks are not of the layers that the parent's are of.")
        require(parent.spec.step == found.spec.step, "its parent was pruned by another step.")


def _nested(found: Finished, parent: Finished) -> None:
    regrown = M.regrown(found.ticket.masks, parent.ticket.masks)
    require(regrown == 0, f"it keeps weights that its parent had pruned: {regrown}.")


def _exact(found: Finished, parent: Finished, prune: Prune, head: list[str]) -> None:
    """As many weights are kept as the schedule asks for; those with the largest final magnitudes, if that is the criterion."""
    masks = found.ticket.masks
    before = {name: mask for name, mask in parent.ticket.masks.items() if name in masks}
    keep = allocation.keeps(
        before, prune.rate, found.spec.levels, allocation=prune.allocation,
        head=[name for name in head if name in before], head_rate=prune.head_rate,
    )  # fmt: skip
    for name, asked in keep.items() if isinstance(keep, dict) else [("", keep)]:
        kept = M.kept({name: masks[name]} if name else masks)
        require(kept == asked, f"it keeps {kept} weights{f' of {name}' if name else ''}, and the schedule asks for {asked}.")
    if prune.criterion == "magnitude":
        asked = M.keep_top(criteria.magnitude(parent.weights, before), before, keep)
        odd = [name for name, mask in masks.items() if not mask.equal(asked[name])]
        require(not odd, f"the masks of {', '.join(odd)} are not those of its parent's largest final weights.")


def _rewound(found: Finished, parent: Finished, prune: Prune, store: Store) -> None:
    """The weights before masking are those that the retraining asks for, bit for bit."""
    begin = found.record["begin_iteration"]
    expected, whose = parent.ticket.rewind, "its parent's start"
    if prune.retrain != "rewind":
        expected, whose = parent.weights, "its parent's final weights"
    elif begin:
        path = store.checkpoint(found.spec.root.key, begin)
        if path.exists():  # made again when it is needed, so nobody has to keep it
            expected, whose = point.load(path).state, path.name
        elif parent.spec.parent is None:
            return
    odd = differing(found.ticket.rewind, expected)
    require(not odd, f"it does not start from {whose}: {', '.join(odd[:3])}{' and others' * (len(odd) > 3)} differ.")


def _control(found: Finished, parent: Finished) -> None:
    """A control differs from its parent's ticket in the one thing that it names."""
    control, names = found.spec.control, list(found.ticket.rewind)
    shown = controls.differs_in_one(control, found.ticket, parent.ticket, names, control == "order")
    require(shown["holds"], f"the control {control} does not differ from its ticket in that alone.")
    told = {name: shown[name] for name in ("control", "masks_differ", "weights_differ", "order_differs")}
    same(found.record["checks"]["control"], told, "the proof control")
