"""What a finished round's files show: the invariants, and that round.json says what the other files hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lth.config import Config, Data, Model, Prune
from lth.errors import DataError
from lth.invariants import checks
from lth.models import flops
from lth.pruning import allocation, criteria
from lth.pruning import masks as M
from lth.tree import checkpoint, files, metrics, predictions
from lth.tree import ticket as tickets
from lth.tree.record import DESCRIBED, FILES, Record, require_intact
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket

SPEC = ("key", "control", "epochs", "finetune", "settings", "recipe", "family", "step", "levels")  # of a spec and its record
SHARED = ("classes", "images", "mean", "std", "parameters", "flops", "layer_flops")  # by the rounds of a chain
UNSEEN = {"optimiser_states", "lr", "frozen"}  # numbers of checks that no file shows


@dataclass(frozen=True)
class Round:
    """A finished round with its files.

    ``root``: the record of its round 0; ``own``: what identifies a module of one's own, empty for the networks of the commands;
    ``prune``: the prune step that leads to it, or to the ticket of a control.
    """

    record: Record
    spec: Spec
    root: Record
    own: dict[str, Any]
    prune: Prune
    ticket: Ticket
    weights: dict[str, Tensor]
    about: dict[str, Any]


def _read(record: Record, spec: Spec, root: Record) -> Round:
    step = (spec.parent if spec.control else spec).content.get("prune", {})
    prune = Prune(**{name: value for name, value in step.items() if name not in ("levels", "function")})
    own = root.determined_by.get("own", {})
    weights, about = files.read_tensors(record.folder / "final.safetensors")
    return Round(record, spec, root, own, prune, tickets.load_ticket(record.folder), weights, about)


def check(record: Record, spec: Spec, root: Record, parent: tuple[Record, Spec] | None, outputs: Store) -> None:
    """Check a round whose parent is valid. Raises DataError or InvariantError with what is broken, in one sentence."""
    if missing := {*FILES, *(["predictions.npy"] if record.test else [])} - record.files.keys():
        raise DataError(f"round.json holds no hash of {', '.join(sorted(missing))}.")
    require_intact(record)
    it, before = _read(record, spec, root), _read(*parent, root) if parent else None
    _same(vars(record), _identity(it) | ({} if it.own else _configured(it)) | _sizes(it) | _scores(record))
    if record.test_confusion is not None:
        _test(record)
    _same(it.about, {name: getattr(record, name) for name in DESCRIBED if not it.own}, "final.safetensors")
    odd = [name for name, t in it.weights.items() if not torch.isfinite(t).all()]
    _require(not odd, f"{', '.join(odd)} in final.safetensors holds numbers that are not finite.")
    _invariants(it, before, outputs)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise DataError(sentence)


def _same(values: Mapping[str, Any], expected: Mapping[str, Any], where: str = "round.json") -> None:
    for name, value in expected.items():
        _require(values.get(name) == value, f"{where} has {name}={values.get(name)}, and it should be {value}.")


def _identity(it: Round) -> dict[str, Any]:
    """Return the fields that follow from what determined the round."""
    spec, steps = it.spec, ("rate", "allocation", "rewind", "retrain", *(() if it.own else ("criterion",)))
    return {
        **{name: getattr(spec, name) for name in SPEC},
        **{name: getattr(it.prune, name) if spec.index else None for name in steps},
        "name": f"{it.record.folder.name.rpartition('-')[0]}-{spec.key}",
        "round": spec.index,
        "parent": spec.parent.key if spec.parent else None,
        "seed": spec.root.content.get("seed", Config.seed),
    }


def _configured(it: Round) -> dict[str, Any]:
    """Return the fields that follow from the configuration and from round 0 of the chain."""
    content, per_epoch = it.spec.root.content, it.root.iterations // it.root.epochs
    model = content.get("model", {})
    return {
        **{name: getattr(it.root, name) for name in SHARED},
        "model": model.get("target", model.get("name", Model.name)),
        "pretrained": "weights" in content,
        "image_size": content["data"].get("image_size", Data.image_size),
        "precision": content.get("precision", "32-true"),
        "iterations": per_epoch * it.spec.epochs,
        "begin_iteration": checkpoint.steps(it.prune.rewind, per_epoch, it.root.iterations) if it.spec.index else 0,
    }


def _sizes(it: Round) -> dict[str, Any]:
    """Return the counts, densities and FLOPs that follow from the masks."""
    masks, rewind, dense = it.ticket.masks, it.ticket.rewind, it.record.layer_flops
    fit = all(name in rewind and rewind[name].shape == mask.shape for name, mask in masks.items())
    _require(fit and M.size(masks) > 0, "ticket.safetensors holds no masks, or they are not of the shapes of the weights.")
    sizes = flops.sizes(it.record.parameters, masks, dense)
    sizes = sizes if dense else {"model_density": sizes["model_density"]}
    return sizes | {"kept": M.kept(masks), "prunable": M.size(masks), "density": M.density(masks), "layers": M.per_layer(masks)}


def _scores(record: Record) -> dict[str, Any]:
    """Return the scores that follow from metrics.csv."""
    rows = metrics.read(record.folder / "metrics.csv")
    ends = {name: metrics.end_point(rows, name) for name in metrics.END_POINTS}
    scores = {name: rows[-1][name] for name in metrics.SCORES} | {"iterations": rows[-1]["iteration"]}
    scores |= {f"{end}_{name}": row[name] for end, row in ends.items() for name in ("epoch", "iteration", *metrics.SCORES)}
    scores |= {f"{end}_test_acc": record.test_acc for end, row in ends.items() if row is rows[-1]}
    return scores | {"censored": ends["early_stop"] is rows[-1]}


def _test(record: Record) -> None:
    """Test accuracies follow from the confusion matrix (rows: true classes), and it follows from the predictions."""
    matrix, count, classes = torch.tensor(record.test_confusion).double(), record.images["test"], record.classes
    counted = matrix.shape == (len(classes),) * 2 and int(matrix.sum()) == count and list(record.test_class_acc) == classes
    _require(counted, f"round.json does not count {count} test images of {', '.join(classes)} in its confusion matrix.")
    expected = [float(matrix.trace()) / count, *(matrix.diag() / matrix.sum(1).clamp(min=1)).tolist()]
    differ = max(abs(a - b) for a, b in zip(expected, [record.test_acc, *record.test_class_acc.values()]))
    _require(differ < 1e-6, "the test accuracies in round.json do not follow from its confusion matrix.")
    same = not record.test or predictions.confusion(record.folder, record.test, len(classes)) == record.test_confusion
    _require(same, "predictions.npy gives another confusion matrix than round.json has.")


def _invariants(it: Round, parent: Round | None, outputs: Store) -> None:
    """Every invariant holds, and round.json has its numbers."""
    ticket, masks, recorded, kind = it.ticket, it.ticket.masks, it.record.checks, it.record.control
    before = {n: mask for n, mask in parent.ticket.masks.items() if n in masks} if parent and not kind else None
    shapes, head = map(checks.shapes_of, (it.weights, ticket.rewind)), _head(it)
    entries = {"untouched": checks.untouched(*shapes, masks, _scope(it, parent, head), {}, {})}
    checks.require(entries)
    keep = _keep(it.prune, before, it.spec.levels, head) if before else M.kept(parent.ticket.masks) if parent else M.size(masks)
    entries |= {
        "nested": checks.nested(masks, before),
        "exact_count": checks.exact_count(masks, keep),
        "start": checks.start(ticket.rewind, _rewound(it, parent, outputs) if before else ticket.rewind),
        "zeros": checks.zeros([0] * recorded["zeros"]["epochs"], it.weights, ticket.start, masks),
        "init_unchanged": checks.init_unchanged(ticket.rewind, it.record.start),
        "ranks": checks.ranks(masks, True, recorded["ranks"]["ranks"]),
        "layer_collapse": checks.layer_collapse(masks, it.record.effective_density),
    }
    if kind:
        entries["control"] = checks.control(kind, ticket, parent.ticket, ticket.rewind.keys(), kind == "order")
    checks.require(entries)
    for name, entry in entries.items():
        seen = {number: value for number, value in entry.items() if number not in UNSEEN}
        _same(recorded[name], seen, f"the check {name} in round.json")
    if before and it.prune.criterion == "magnitude" and "function" not in it.spec.prune:
        expected = M.keep_top(criteria.magnitude(parent.weights, before), before, keep)
        odd = [name for name, mask in masks.items() if not mask.equal(expected[name])]
        _require(not odd, f"the masks of {', '.join(odd)} are not those of its parent's largest final weights.")


def _scope(it: Round, parent: Round | None, head: list[str]) -> list[str]:
    """Return the names of the weights that are to have masks."""
    if parent is None:  # a layer without a mask would escape all counts of the chain
        return [*it.ticket.masks, *(name for name in it.record.layer_flops if name.endswith(".weight"))]
    names, prune = list(parent.ticket.masks), it.prune
    if it.record.control or parent.spec.index:
        return names
    spared = [] if prune.head and prune.scope != "backbone" else head
    named = not it.own and (prune.scope != "trainable" or it.spec.finetune == "all")  # else a subset, which no file names
    return [name for name in names if name not in spared and (named or name in it.ticket.masks)]


def _head(it: Round) -> list[str]:
    """Return the weights of the head: of the last layer, or with ``model.head=mlp`` of all layers of its module."""
    layers, model = list(it.root.layer_weights), it.spec.root.content.get("model", {})
    module = layers[-1].removesuffix(".weight")
    if model.get("head", Model.head) == "mlp" and "." in module:
        module = module.rpartition(".")[0]
    return [] if it.own else [name for name in layers if name.startswith(f"{module}.")]


def _keep(prune: Prune, before: M.Masks, levels: int, head: list[str]) -> allocation.Keep:
    options = {"allocation": prune.allocation, "head_rate": prune.head_rate, "head": [name for name in head if name in before]}
    return allocation.keeps(before, prune.rate, levels, **options)


def _rewound(it: Round, parent: Round, outputs: Store) -> checks.State:
    """Return the weights that training is to start from, before masking; the round's where no other file shows them."""
    begin = it.record.begin_iteration
    if it.prune.retrain != "rewind":
        return parent.weights
    path = outputs.checkpoint(it.spec.root.key, begin)
    if begin and path.exists():  # it is computed again when it is needed, so it may be deleted
        return checkpoint.load(path).state
    return it.ticket.rewind if begin and parent.spec.index == 0 else parent.ticket.rewind
