"""The cards that ``lth.export`` leaves in exports/, one a file: read, checked, and joined with the records of their rounds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lth.tree.record import Found, Record

FORMAT = "lth-card-1"  # of cards
# The first that was timed is shown.
RUNTIMES = {"onnxruntime": "ONNX Runtime", "eager": "PyTorch, eager", "export": "torch.export"}
MOST = 1e18  # above it, no size, time or count is believed
WEIGHTS, ONNX = "model.safetensors", "model.onnx"
FILES = {ONNX: "ONNX, MB", WEIGHTS: "safetensors, MB"}  # titles of their columns


@dataclass(frozen=True)
class Export:
    """A card and the record of its round. The dicts are by kind: ``dense`` (the network before pruning), ``ticket``, ``int8``.

    ``accuracies``: fractions, of the last epoch. ``sizes``: bytes by file, of WEIGHTS and ONNX. ``ms``: milliseconds a batch, by
    batch and kind, on one thread of ``machine`` in ``runtime``; empty if nothing was timed. ``folder``: its name.
    """

    record: Record
    accuracies: dict[str, float]
    parameters: dict[str, int]
    sizes: dict[str, dict[str, int]]
    ms: dict[int, dict[str, float]]
    runtime: str
    machine: str
    folder: str


def read(found: Found) -> list[Export]:
    """Return the exports of the rounds that were found; a card that cannot be read, or of no round here, is skipped.

    One of a round that is here and not among the records, such as one that a filter left out, is passed over.
    """
    named, exports = {record.name: record for record in found.records if record.folder}, []
    for outputs in {record.folder.parent.parent for record in named.values()}:
        for path in sorted(outputs.glob("exports/[!.]*.json")):
            try:
                # The name of the round, or that and a hash of the folder that the round was exported to.
                names = (path.stem, path.stem.rpartition(".")[0] or path.stem)
                if record := named.get(names[0]) or named.get(names[1]):
                    exports.append(of_card(json.loads(path.read_bytes()), record))
                elif not any((outputs / "rounds" / name).is_dir() for name in names):
                    found.skip(f"exports/{path.name}", "no round here has its name")
            except OSError as error:
                found.skip(f"exports/{path.name}", f"it cannot be read ({error.strerror})")
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                found.skip(f"exports/{path.name}", f"it is no card of this round ({type(error).__name__}: {error})")
    return exports


def of_card(card: Any, record: Record) -> Export:
    """Return what is shown of a card. Raises ValueError, TypeError or KeyError where it is none, or of another round."""
    if (card["format"], card["round"], card["key"]) != (FORMAT, record.name, record.key):
        raise ValueError(f"its format is not {FORMAT}, or it is of another round")
    dense, exported = (int(_positive(card["parameters"][name])) for name in ("dense", "exported"))
    bytes_ = {str(name): int(_positive(size)) for name, size in dict(card["bytes"]).items()}
    sizes = {"dense": {WEIGHTS: int(_positive(card["dense_bytes"]))}}
    sizes["ticket"] = {file: bytes_[file] for file in FILES if file in bytes_}
    accuracies = {"dense": _fraction(card["dense_test_acc"]), "ticket": _fraction(card["test_acc"])}
    if int8 := dict(card["agreement"]).get("onnxruntime int8"):
        accuracies["int8"], sizes["int8"] = _fraction(int8["test_acc"]), {ONNX: bytes_["model.int8.onnx"]}
    ms: dict[str, dict[int, dict[str, float]]] = {}
    for row in card["latency"]:
        if row["threads"] == 1:
            known = [kind for kind in accuracies if kind != "int8" or kind in row["ms"]]
            ms.setdefault(row["runtime"], {})[row["batch"]] = {kind: _positive(row["ms"][kind]) for kind in known}
    runtime, on = next((name for name in RUNTIMES if name in ms), ""), card["machine"]
    versions = [f"{name} {version}" for name, version in dict(on["versions"]).items()]
    machine = ", ".join([f"{on['cores']} cores ({on['machine']}, {on['system']})", *versions])
    parameters = {kind: dense if kind == "dense" else exported for kind in accuracies}
    folder = Path(str(card["folder"])).name
    return Export(record, accuracies, parameters, sizes, ms.get(runtime, {}), RUNTIMES.get(runtime, ""), machine, folder)


def _fraction(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"{value!r:.40} is no fraction")
    return value


def _positive(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < MOST:
        raise ValueError(f"{value!r:.40} is no positive number")
    return value
