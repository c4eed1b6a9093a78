"""What a finished round's files show: the invariants, and that round.json says what the other files hold.

Functions raise DataError or InvariantError, one sentence that names what is broken.
"""

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
from lth.tree import checkpoint, files, metrics, predictions, store
from lth.tree import ticket as tickets
from lth.tree.record import Record
from lth.tree.spec import Spec
from lth.tree.store import Store
from lth.tree.ticket import Ticket

FILES = {"config.yaml", "final.safetensors", "metrics.csv", "start.safetensors", "ticket.safetensors"}
SPEC = ("key", "control", "epochs", "finetune", "settings", "recipe", "family", "step", "levels")  # of a spec and its record
SHARED = ("classes", "images", "mean", "std", "parameters", "flops", "layer_flops")  # by the rounds of a chain
DESCRIBED = ("format", "model", "classes", "image_size", "mean", "std")  # in round.json and final.safetensors
UNSEEN = {"optimiser_states", "lr", "frozen"}  # numbers of checks that no file shows


@dataclass(frozen=True)
class Round:
    """A finished round with its files; ``root``: the record of its round 0."""

    record: Record
    spec: Spec
    root: Record
    ticket: Ticket
    weights: dict[str, Tensor]
    about: dict[str, Any]  # the metadata of the weights

    @property
    def own(self) -> dict[str, Any]:
        """What identifies a module of one's own; empty for a network that the configuration describes."""
        return self.root.determined_by.get("own", {})

    @property
    def prune(self) -> Prune:
        """The prune step that leads to the round, or to the ticket of a control."""
        content = self.spec.parent.content if self.spec.control else self.spec.content
        return Prune(**{name: value for name, value in content.get("prune", {}).items() if name != "levels"})


def read(record: Record, spec: Spec, root: Record) -> Round:
    """Read the files of a round."""
    return Round(record, spec, root, tickets.load_ticket(record.folder), *files.read_tensors(record.folder / "final.safetensors"))


def check(record: Record, spec: Spec, root: Record, parent: tuple[Record, Spec] | None, outputs: Store) -> None:
    """Check a round whose parent is valid."""
    if missing := (FILES | ({"predictions.npy"} if record.test else set())) - record.files.keys():
        raise DataError(f"round.json holds no hash of {', '.join(sorted(missing))}.")
    store.intact(record.folder, record)
    it, before = read(record, spec, root), read(*parent, root) if parent else None
    _identity(it)
    _sizes(it)
    _final(it)
    _scores(it)
    _test(it)
    _invariants(it, before, outputs)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise DataError(sentence)


def _same(values: Mapping[str, Any], expected: Mapping[str, Any], where: str = "round.json") -> None:
    for name, value in expected.items():
        _require(values.get(name) == value, f"{where} has {name}={values.get(name)}, and it should be {value}.")


def _identity(it: Round) -> None:
    """Fields follow from what determined the round, and from round 0 of its chain."""
    spec, root, prune, dense = it.spec, it.spec.root.content, it.prune, it.spec.index == 0
    steps = ("rate", "allocation", "rewind", "retrain", *(() if it.own else ("criterion",)))
    expected = {name: getattr(spec, name) for name in SPEC} | {name: None if dense else getattr(prune, name) for name in steps}
    expected |= {"name": it.record.folder.name, "round": spec.index, "parent": spec.parent.key if spec.parent else None}
    expected |= {"seed": root.get("seed", Config.seed)}
    if not it.own:
        epoch = it.root.iterations // it.root.epochs
        expected |= {name: getattr(it.root, name) for name in SHARED} | {"pretrained": "weights" in root}
        expected |= {"model": root.get("model", {}).get("name", Model.name), "precision": root.get("precision", "32-true")}
        expected |= {"image_size": root["data"].get("image_size", Data.image_size), "iterations": epoch * spec.epochs}
        expected |= {"begin_iteration": 0 if dense else checkpoint.steps(prune.rewind, epoch, it.root.iterations)}
    _same(vars(it.record), expected)
    _require(it.record.name.endswith(f"-{spec.key}"), f"its folder's name does not end in its key {spec.key}.")


def _sizes(it: Round) -> None:
    """Counts, densities and FLOPs follow from the masks."""
    masks, record, rewind = it.ticket.masks, it.record, it.ticket.rewind
    fit = all(name in rewind and rewind[name].shape == mask.shape for name, mask in masks.items())
    _require(fit and M.size(masks) > 0, "ticket.safetensors holds no masks, or they are not of the shapes of the weights.")
    _require(list(record.layer_weights) == list(masks), "round.json has other layers than ticket.safetensors.")
    limit = sum(t.numel() for t in rewind.values() if t.is_floating_point())
    _require(M.size(masks) <= record.parameters <= limit, f"round.json has parameters={record.parameters} of {limit}.")
    sizes = {"kept": M.kept(masks), "prunable": M.size(masks), "density": M.density(masks), "layers": M.per_layer(masks)}
    counted = flops.sizes(record.parameters, masks, record.layer_flops)
    _same(vars(record), sizes | (counted if record.layer_flops else {"model_density": counted["model_density"]}))


def _final(it: Round) -> None:
    """The final weights are finite, and their file describes the network as round.json does."""
    odd = [name for name, t in it.weights.items() if not torch.isfinite(t).all()]
    _require(not odd, f"{', '.join(odd)} in final.safetensors holds numbers that are not finite.")
    _same(it.about, {name: getattr(it.record, name) for name in DESCRIBED if not it.own}, "final.safetensors")


def _scores(it: Round) -> None:
    """The scores of the last validation and of the end points are those of metrics.csv."""
    rows, record = metrics.read(it.record.folder / "metrics.csv"), it.record
    ends = {name: metrics.end_point(rows, name) for name in metrics.END_POINTS}
    expected = {"iterations": rows[-1]["iteration"], "censored": ends["early_stop"] is rows[-1]}
    expected |= {name: rows[-1][name] for name in metrics.SCORES}
    names = ("epoch", "iteration", *metrics.SCORES)
    expected |= {f"{end}_{name}": row[name] for end, row in ends.items() for name in names}
    expected |= {f"{end}_test_acc": record.test_acc for end, row in ends.items() if row is rows[-1]}
    _same(vars(record), expected)


def _test(it: Round) -> None:
    """Test accuracies follow from the confusion matrix (rows: true classes), and it follows from the predictions."""
    record, classes = it.record, it.record.classes
    if record.test_confusion is None:
        return
    matrix, count = torch.tensor(record.test_confusion, dtype=torch.float64), record.images["test"]
    counted = f"round.json has a confusion matrix that does not count {count} test images of {len(classes)} classes."
    _require(matrix.shape == (len(classes),) * 2 and int(matrix.sum()) == count, counted)
    expected = (matrix.diag() / matrix.sum(1).clamp(min=1)).tolist() + [float(matrix.trace()) / count]
    accuracies = [*record.test_class_acc.values(), record.test_acc]
    follow = list(record.test_class_acc) == classes and all(abs(a - b) < 1e-6 for a, b in zip(accuracies, expected, strict=True))
    _require(follow, "round.json has test accuracies that do not follow from its confusion matrix.")
    if record.test:
        same = predictions.confusion(record.folder, record.test, len(classes)) == record.test_confusion
        _require(same, "predictions.npy gives another confusion matrix than round.json has.")


def _invariants(it: Round, parent: Round | None, outputs: Store) -> None:
    """Every invariant holds, and round.json has its numbers."""
    masks, weights, record, recorded = it.ticket.masks, it.weights, it.record, it.record.checks
    shapes, pruned_from = map(checks.shapes_of, (weights, it.ticket.rewind)), None if record.control else parent
    entries = {"untouched": checks.untouched(*shapes, masks, _scope(it, parent), {}, {})}
    checks.require(entries)
    keep = _keep(it, parent)
    entries |= {
        "nested": checks.nested(masks, pruned_from.ticket.masks if pruned_from else None),
        "exact_count": checks.exact_count(masks, keep),
        "start": checks.start(it.ticket.rewind, _rewound(it, parent, outputs)),
        "zeros": checks.zeros([0] * recorded["zeros"]["epochs"], weights, it.ticket.start, masks),
        "init_unchanged": checks.init_unchanged(it.ticket.rewind, record.start),
        "ranks": checks.ranks(masks, True, recorded["ranks"]["ranks"]),
        "layer_collapse": checks.layer_collapse(masks, record.effective_density),
    }
    if kind := record.control:
        entries["control"] = checks.control(kind, it.ticket, parent.ticket, it.weights.keys(), kind == "order")
    checks.require(entries)
    _same(recorded, {name: recorded.get(name, "missing") for name in entries})
    for name, entry in entries.items():
        seen = {number: value for number, value in entry.items() if number not in UNSEEN}
        _same(recorded[name], seen, f"the check {name} in round.json")
    if pruned_from and it.prune.criterion == "magnitude" and "criterion" not in it.own:
        _by_magnitude(masks, parent, keep)


def _by_magnitude(masks: M.Masks, parent: Round, keep: allocation.Keep) -> None:
    before = {name: mask for name, mask in parent.ticket.masks.items() if name in masks}
    expected = M.keep_top(criteria.magnitude(parent.weights, before), before, keep)
    odd = [name for name, mask in masks.items() if not mask.equal(expected[name])]
    _require(not odd, f"the masks of {', '.join(odd)} are not those of its parent's largest final weights.")


def _scope(it: Round, parent: Round | None) -> list[str]:
    """Return the names of the weights that are to have masks."""
    masks, layers, prune = it.ticket.masks, list(it.root.layer_weights), it.prune
    if parent is None:  # a layer without a mask would escape all counts of the chain
        return [*masks, *(name for name in it.record.layer_flops if name.endswith(".weight"))]
    if it.record.control or parent.spec.index:
        return list(parent.ticket.masks)
    spared = [] if prune.head and prune.scope != "backbone" else _head(it)
    named = not it.own and (prune.scope != "trainable" or it.spec.finetune == "all")  # else a subset, which no file names
    return [name for name in layers if name not in spared and (named or name in masks)]


def _head(it: Round) -> list[str]:
    """Return the weights of the head: of the last layer, or with ``model.head=mlp`` of all layers of its module."""
    layers, model = list(it.root.layer_weights), it.spec.root.content.get("model", {})
    module = layers[-1].removesuffix(".weight")
    if model.get("head", Model.head) == "mlp" and "." in module:
        module = module.rpartition(".")[0]
    return [] if it.own else [name for name in layers if name.startswith(f"{module}.")]


def _keep(it: Round, parent: Round | None) -> allocation.Keep:
    """Return how many weights the schedule keeps."""
    if parent is None or it.record.control:
        return M.kept(parent.ticket.masks) if parent else M.size(it.ticket.masks)
    before = {name: mask for name, mask in parent.ticket.masks.items() if name in it.ticket.masks}
    prune, head = it.prune, [name for name in _head(it) if name in before]
    options = {"allocation": prune.allocation, "head": head, "head_rate": prune.head_rate}
    return allocation.keeps(before, prune.rate, it.spec.levels, **options)


def _rewound(it: Round, parent: Round | None, outputs: Store) -> checks.State:
    """Return the weights that training is to start from, before masking; those that it has where no file shows them."""
    if parent is None or it.record.control:
        return it.ticket.rewind
    if it.prune.retrain != "rewind":
        return parent.weights
    begin = it.record.begin_iteration
    path = outputs.checkpoint(it.spec.root.key, begin)
    if begin and path.exists():  # it is computed again when it is needed, so it may be deleted
        return checkpoint.load(path).state
    return it.ticket.rewind if begin and parent.spec.index == 0 else parent.ticket.rewind
