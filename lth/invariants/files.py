"""What a finished round's files show about themselves; each check raises DataError with what is broken, in one sentence."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lth.config import Config, Data, Model, Prune
from lth.errors import DataError
from lth.hashes import of_tensors
from lth.pruning import masks as M
from lth.training import record
from lth.training.history import ENDS, SCORES
from lth.tree import files, predictions
from lth.tree import ticket as tickets
from lth.tree.record import require_intact
from lth.tree.spec import Spec
from lth.tree.ticket import Ticket

PROOFS = {"exact_count", "nested", "start", "zeros", "untouched", "init_unchanged", "ranks", "layer_collapse"}


@dataclass(frozen=True)
class Finished:
    """A finished round: its round.json, what determined it, its ticket, its final weights and what their file says of them."""

    record: dict[str, Any]
    spec: Spec
    folder: Path
    ticket: Ticket
    weights: dict[str, Tensor]
    about: dict[str, Any]


def read(written: dict[str, Any], spec: Spec, folder: Path) -> Finished:
    """The files of a round. Raises DataError where its ticket is damaged."""
    weights, about = files.read_tensors(folder / "final.safetensors")
    return Finished(written, spec, folder, tickets.load_ticket(folder), weights, about)


def require(holds: bool, sentence: str) -> None:
    if not holds:
        raise DataError(sentence)


def same(written: dict[str, Any], expected: dict[str, Any], where: str = "round.json") -> None:
    """Raise DataError naming the first entry of ``expected`` that ``written`` does not have."""
    for name, value in expected.items():
        require(name in written, f"{where} lacks {name}.")
        require(written[name] == value, f"{where} has {name}={written[name]}, and it should be {value}.")


def identity(written: dict[str, Any], spec: Spec, folder: str) -> None:
    """The folder, the key and all fields that follow from what determined the round."""
    root = spec.root.content
    same(written, {
        "key": spec.key,
        "name": folder,
        "parent": spec.parent.key if spec.parent else None,
        "round": spec.index,
        "control": spec.control,
        "seed": root.get("seed", Config.seed),
        "epochs": spec.epochs,
        "finetune": spec.finetune,
        "pretrained": "weights" in root,
        "settings": spec.settings,
        "model": root.get("model", {}).get("name", Model.name),
        "image_size": root["data"].get("image_size", Data.image_size),
        "precision": root.get("precision", "32-true"),
        "recipe": spec.recipe,
        "family": spec.family,
        "step": spec.step,
        "levels": spec.levels,
    })  # fmt: skip
    require(folder.endswith(f"-{spec.key}"), f"its folder's name does not end in its key {spec.key}.")
    prune = edge(spec)
    fields = ("rate", "criterion", "allocation", "rewind", "retrain")
    same(written, {name: getattr(prune, name) if prune else None for name in fields})


def edge(spec: Spec) -> Prune | None:
    """The prune step that leads to a round, or to a control's ticket, with its defaults; None for round 0."""
    ticket = spec.parent if spec.control else spec
    if ticket.parent is None:
        return None
    return Prune(**{name: value for name, value in ticket.content["prune"].items() if name != "levels"})


def intact(written: dict[str, Any], folder: Path) -> None:
    """Every file is there, with the hash that round.json holds."""
    wanted, named = record.sealed(written.get("test", "")), set(written["files"])
    require(named == set(wanted), f"round.json holds hashes of {', '.join(sorted(named))}, not of {', '.join(wanted)}.")
    require_intact(written)


def counts(found: Finished) -> None:
    """The masks are as round.json says, and so are sizes and FLOPs."""
    masks, written = found.ticket.masks, found.record
    require(M.size(masks) > 0, "ticket.safetensors holds no mask.")
    fit = all(name in found.ticket.rewind and found.ticket.rewind[name].shape == m.shape for name, m in masks.items())
    require(fit, "the masks are not of the shapes of the weights.")
    same(written, {
        "kept": M.kept(masks),
        "prunable": M.size(masks),
        "density": M.density(masks),
        "layers": M.per_layer(masks),
        **record.sizes(written["parameters"], found.ticket, written["layer_flops"]),
    })  # fmt: skip
    held = sum(t.numel() for t in found.ticket.rewind.values() if t.is_floating_point())
    require(M.size(masks) <= written["parameters"] <= held, f"round.json has parameters={written['parameters']} of {held}.")
    require(list(written["layer_weights"]) == list(masks), "round.json has the layers in another order.")
    require(set(masks) <= set(written["layer_flops"]), "a layer with a mask has no FLOPs in round.json.")


def start(found: Finished) -> None:
    """The start file is the one that round.json names; that it matches its hash is checked when it is read."""
    named = of_tensors(found.ticket.rewind)[:16]
    same(found.record, {"start": named})


def final(found: Finished) -> None:
    """Final weights: exactly 0 where pruned, all finite, of the start's names, types and shapes, with the round's portrait."""
    before, after = ({n: (t.dtype, t.shape) for n, t in s.items()} for s in (found.ticket.rewind, found.weights))
    require(before == after, "final.safetensors holds other tensors than training started from.")
    revived = M.revived(found.weights, found.ticket.masks)
    require(revived == 0, f"final.safetensors holds {revived} pruned weights that are not 0.")
    odd = [name for name, t in found.weights.items() if not torch.isfinite(t).all()]
    require(not odd, f"{', '.join(odd)} in final.safetensors holds numbers that are not finite; the training diverged.")
    require(found.about.get("format") == "lth-final-1", "final.safetensors is of another format.")
    portrait = ("format", "model", "classes", "image_size", "mean", "std")
    same(found.about, {name: found.record[name] for name in portrait}, "final.safetensors")


def metrics(found: Finished) -> None:
    """The scores of the last validation, of early stop and of the best validation are those of metrics.csv."""
    rows = list(csv.DictReader((found.folder / "metrics.csv").read_text().splitlines()))
    require(len(rows) > 0, "metrics.csv has no row.")
    last, ends = rows[-1], {end: min(rows, key=least) for end, least in ENDS.items()}
    expected = {name: last[name] for name in SCORES} | {"iterations": last["iteration"]}
    expected |= {f"{end}_{name}": row[name] for end, row in ends.items() for name in ("epoch", "iteration", *SCORES)}
    expected["censored"] = str(ends["early_stop"] is last)
    for name, value in expected.items():  # as text: a number is written in one way alone, and NaN equals itself
        told = found.record[name]
        require(str(told) == value, f"round.json has {name}={told}, and metrics.csv has {value}.")


def test_scores(found: Finished) -> None:
    """Test accuracies follow from the confusion matrix (rows: true classes), which counts every test image once."""
    written, matrix = found.record, torch.tensor(found.record["test_confusion"], dtype=torch.float64)
    count, classes = int(matrix.sum()), written["classes"]
    require(matrix.shape == (len(classes),) * 2, f"the confusion matrix is not of {len(classes)} classes.")
    require(
        count == written["images"]["test"], f"the confusion matrix counts {count} test images of {written['images']['test']}."
    )
    own = dict(zip(classes, (matrix.diag() / matrix.sum(1).clamp(min=1)).tolist()))
    require(list(written["test_class_acc"]) == classes, "test_class_acc is not of the classes.")
    for name, accuracy, told in [
        ("test_acc", float(matrix.trace()) / count, written["test_acc"]),
        *((f"test_class_acc of {name}", own[name], written["test_class_acc"][name]) for name in classes),
    ]:
        require(abs(accuracy - told) < 1e-6, f"round.json has {name}={told}, and the confusion matrix has {accuracy}.")
    for end in ENDS:
        same_row = written[f"{end}_iteration"] == written["iterations"]
        differ = f"{end}_iteration is the last one, and their test accuracies differ."
        require(not same_row or written[f"{end}_test_acc"] == written["test_acc"], differ)


def given(found: Finished) -> None:
    """The classes given to the test images, where they are kept, are those that the confusion matrix counts."""
    written = found.record
    if written.get("test"):
        counted = predictions.confusion(found.folder, written["test"], len(written["classes"]))
        require(counted == written["test_confusion"], "predictions.npy gives another confusion matrix than round.json has.")


def proofs(found: Finished) -> None:
    """Every invariant was proved when the round was trained; what of it the files show is what they show."""
    written, masks, told = found.record, found.ticket.masks, found.record["checks"]
    wanted = PROOFS | ({"control"} if found.spec.control else set())
    require(set(told) == wanted, f"round.json holds the proofs {', '.join(sorted(told))}, not {', '.join(sorted(wanted))}.")
    for name, entry in told.items():
        require(entry["holds"] is True, f"the invariant {name} did not hold.")
    kept, empty = M.kept(masks), [name for name, density in M.per_layer(masks).items() if density == 0]
    same(told["exact_count"], {"kept": kept, "asked": kept}, "the proof exact_count")
    same(told["nested"], {"regrown": 0}, "the proof nested")
    same(told["start"], {"differing": []}, "the proof start")
    same(told["zeros"], {"revived": 0, "revived_in_file": 0}, "the proof zeros")
    same(told["init_unchanged"], {"init": written["start"]}, "the proof init_unchanged")
    same(told["ranks"], {"masks": M.hash_masks(masks)}, "the proof ranks")
    same(
        told["layer_collapse"],
        {"collapsed": empty, "effective_density": written["effective_density"]},
        "the proof layer_collapse",
    )
    effective = written["effective_density"]  # None where it could not be found out
    require(effective is None or 0 <= effective <= written["density"], "the effective density is above the density.")


OWN = (counts, start, final, metrics, test_scores, given, proofs)
