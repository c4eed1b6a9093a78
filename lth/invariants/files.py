"""What a finished round's files show: the invariants, and that round.json says what the other files hold."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from lth.config import Model, Prune
from lth.errors import DataError
from lth.invariants import checks
from lth.models import flops
from lth.pruning import allocation, criteria, structure
from lth.pruning import masks as M
from lth.pruning.masks import Masks
from lth.tree import checkpoint, metrics, predictions
from lth.tree import ticket as tickets
from lth.tree.record import DESCRIBED, FILES, Record, require_intact
from lth.tree.spec import Spec
from lth.tree.store import Store

# The same in all rounds of a chain.
CHAIN = {"model", "pretrained", "precision", "classes", "images", "image_size", "mean", "std", "parameters", "layer_flops"}
UNSEEN = {"optimiser_states", "lr", "frozen"}  # numbers of checks that no file shows


class Round:
    """A finished round with what its files hold; ``root`` is the record of its round 0."""

    def __init__(self, record: Record, spec: Spec, root: Record) -> None:
        self.record, self.spec, self.root = record, spec, root
        self.ticket = tickets.load_ticket(record.folder)
        self.weights, self.about = tickets.load_final(record.folder)
        self.own = "own" in spec.root.content  # a module of one's own, of which files show less
        self.rows = metrics.read(record.folder / "metrics.csv")
        self.prune = Prune(**{n: value for n, value in spec.prune.items() if n not in ("levels", "function", "ticket")})


def check(record: Record, spec: Spec, root: Record, parent: tuple[Record, Spec] | None, store: Store) -> None:
    """Check a round whose parent is valid. Raises DataError or InvariantError with what is broken, in one sentence."""
    if missing := {*FILES, *(["predictions.npy"] if record.test else [])} - record.files.keys():
        raise DataError(f"round.json holds no hash of {', '.join(sorted(missing))}.")
    require_intact(record)
    it, before = Round(record, spec, root), Round(*parent, root) if parent else None
    shown = spec.facts() | {"name": record.folder.name} | {name: getattr(root, name) for name in CHAIN}
    shown |= _sizes(it) | metrics.scores(it.rows)
    _same(vars(record), shown)
    if not it.own:
        per_epoch = root.iterations // root.epochs
        begin = checkpoint.steps(it.prune.rewind, per_epoch, root.iterations) if spec.index else 0
        _same(vars(record), {"begin_iteration": begin})
        _same(it.about, {name: getattr(record, name) for name in DESCRIBED}, "final.safetensors")
    if record.test_confusion is not None:
        _test(record)
    odd = [name for name, t in it.weights.items() if not torch.isfinite(t).all()]
    _require(not odd, f"{', '.join(odd)} in final.safetensors holds numbers that are not finite.")
    _invariants(it, before, store)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise DataError(sentence)


def _same(values: Mapping[str, Any], expected: Mapping[str, Any], where: str = "round.json") -> None:
    for name, value in expected.items():
        _require(values.get(name) == value, f"{where} has {name}={values.get(name)}, and it should be {value}.")


def _sizes(it: Round) -> dict[str, Any]:
    """Return the counts, densities and FLOPs that follow from the masks."""
    masks, rewind, dense = it.ticket.masks, it.ticket.rewind, it.record.layer_flops
    fit = all(name in rewind and rewind[name].shape == mask.shape for name, mask in masks.items())
    _require(fit and M.size(masks) > 0, "ticket.safetensors holds no masks, or they are not of the shapes of the weights.")
    sizes = flops.sizes(it.record.parameters, masks, dense)
    sizes = sizes if dense else {"model_density": sizes["model_density"]}
    sizes |= {"kept": M.kept(masks), "prunable": M.size(masks), "density": M.density(masks)}
    return sizes | {"layers": M.per_layer(masks)}


def _test(record: Record) -> None:
    """Test accuracies follow from the confusion matrix (rows: true classes), and it follows from the predictions."""
    matrix, classes = torch.tensor(record.test_confusion).double(), record.classes
    expected = torch.stack([matrix.trace() / record.images["test"], *(matrix.diag() / matrix.sum(1).clamp(min=1))])
    scores = torch.tensor([record.test_acc, *(record.test_class_acc[name] for name in classes)]).double()
    same = matrix.sum() == record.images["test"] and torch.allclose(scores, expected, rtol=0, atol=1e-6)
    _require(same, "the test accuracies in round.json do not follow from its confusion matrix.")
    same = not record.test or predictions.confusion(record.folder, record.test, len(classes)) == record.test_confusion
    _require(same, "predictions.npy gives another confusion matrix than round.json has.")


def _invariants(it: Round, parent: Round | None, store: Store) -> None:
    """Every invariant holds, and round.json has its numbers."""
    ticket, masks, recorded, kind = it.ticket, it.ticket.masks, it.record.checks, it.record.control
    before, keep, rewound, head, origin = None, M.size(masks), ticket.rewind, _head(it), None
    if parent and kind:
        keep = M.kept(parent.ticket.masks)
    elif parent:
        before = {n: mask for n, mask in parent.ticket.masks.items() if n in masks}
        rewound = _rewound(it, parent, store)
        keep = _keeps(it, before, head)
        origin = _origin(it)
    entries = checks.of_round(
        ticket,
        it.weights,
        parent=before,
        expected=keep,
        start=checks.start(ticket.rewind, rewound),
        revived=[0] * recorded["zeros"]["epochs"],
        shapes=checks.shapes_of(it.weights),
        fresh=checks.shapes_of(ticket.rewind),
        scope=_scope(it, parent, head),
        init=it.record.start,
        ranks=checks.ranks(masks, True, recorded["ranks"]["ranks"]),
        effective_density=it.record.effective_density,
        control=checks.control(kind, ticket, parent.ticket, ticket.rewind.keys(), kind == "order") if kind else None,
        origin=origin,
        structure=structure.check(it.prune, it.spec.levels, ticket.groups, masks, before) if it.spec.index else None,
        gradual=checks.gradual(it.prune, it.rows, masks, keep) if it.spec.gradual else None,
    )
    for name, entry in entries.items():
        seen = {number: value for number, value in entry.items() if number not in UNSEEN}
        _same(recorded[name], seen, f"the check {name} in round.json")
    found_otherwise = "function" in it.spec.prune or it.spec.origin or it.spec.gradual
    if before and it.prune.criterion == "magnitude" and not found_otherwise:
        expected = _magnitude_masks(it, parent, before, keep)
        odd = [name for name, mask in masks.items() if not mask.equal(expected[name])]
        _require(not odd, f"the masks of {', '.join(odd)} are not those of its parent's largest final weights.")


def _keeps(it: Round, before: Masks, head: list[str]) -> allocation.Keep:
    """Return how many weights the schedule keeps; of channels the number of weights follows from the masks."""
    prune = it.prune
    if it.spec.origin:
        dense = it.record.checks["origin"]["dense"]
        return {
            name: mask.numel() if name in dense else it.spec.origin["kept"].get(name) for name, mask in it.ticket.masks.items()
        }
    if prune.structure == "channels":
        return M.kept(it.ticket.masks)
    if prune.structure != "weights":
        return structure.pattern_keeps(prune.structure, before)
    head = [name for name in head if name in before]
    return allocation.keeps(before, prune.rate, it.spec.levels, head=head, allocation=prune.allocation, head_rate=prune.head_rate)


def _origin(it: Round) -> checks.Entry | None:
    """Return the check of another round's masks, which may be gone: what is left to see is said in ``checks.origin``."""
    if not it.spec.origin:
        return None
    recorded, masks = it.record.checks["origin"], it.ticket.masks
    return checks.origin(masks, it.spec.origin, masks.keys() - set(recorded["dense"]), recorded["masks"])


def _magnitude_masks(it: Round, parent: Round, before: Masks, keep: allocation.Keep) -> Masks:
    prune = it.prune
    if prune.structure == "channels":
        left = partial(flops.remaining, it.record.layer_flops)
        return structure.prune_channels(prune, it.spec.levels, it.ticket.groups, before, parent.weights, 0, left)
    scores = criteria.magnitude(parent.weights, before)
    if prune.structure != "weights":
        return structure.prune_pattern(prune.structure, scores, before)
    return M.keep_top(scores, before, keep)


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


def _rewound(it: Round, parent: Round, store: Store) -> checks.State:
    """Return the weights that training is to start from, before masking; the round's where no other file shows them."""
    begin = it.record.begin_iteration
    if it.prune.retrain != "rewind":
        return parent.weights
    if it.prune.rewind == "sign" and parent.spec.index == 0:
        return M.signed(parent.ticket.rewind, it.ticket.masks)
    path = store.checkpoint(it.spec.root.key, begin)
    if begin and path.exists():  # it is computed again when it is needed, so it may be deleted
        return checkpoint.load(path).state
    return it.ticket.rewind if begin and parent.spec.index == 0 else parent.ticket.rewind
