"""Export a round: make its files in a draft folder, compare them with the ticket, measure them, then put them in place."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lth.errors import DataError, UsageError, notice
from lth.export import FORMATS, RUNTIMES, card, compact, csr, latency, programs
from lth.export.shrink import shrink
from lth.export.source import Source, read_images
from lth.export.sparse import sparsify
from lth.hashes import of_json
from lth.tree import files

LARGEST = 1e-4  # difference of logits, relative to the largest logit, at which an export fails


@dataclass(frozen=True)
class Options:
    """``formats``: of FORMATS; ``runtimes``: of RUNTIMES, which are timed; ``seconds``: of each timing;
    ``multiple``: of which numbers of channels are, see ``shrink``."""

    formats: tuple[str, ...] = FORMATS
    runtimes: tuple[str, ...] = RUNTIMES
    int8: bool = False
    force: bool = False
    multiple: int = 8
    seconds: float = 2.0


def export(source: Source, to: Path, options: Options, say: Callable[[str], None], calibration: np.ndarray | None = None) -> dict:
    """Write the files of a round to a folder and return its card; the folder appears when all is written.

    Args:
        calibration: training images, float32 (n, c, h, w) in [0, 1], for int8.

    Raises:
        UsageError: the folder exists, and ``options.force`` is not given; or a package is missing.
        DataError: a file predicts other classes than the ticket.
    """
    require_place(to, force=options.force)
    programs.require(options.formats, int8=options.int8)
    draft = to.with_name(f".{to.name}.{os.urandom(4).hex()}.draft")
    draft.mkdir(parents=True)
    try:
        facts = _write(source, draft, options, say, calibration)
        files.write_json(draft / "card.json", facts)
        (draft / "README.md").write_text(card.readme(facts))
        old = draft.with_suffix(".old")
        if to.exists():
            to.rename(old)
        draft.rename(to)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    try:
        _note(source, to, facts)
    except OSError as error:
        notice(f"the report will not know of this export: {error.filename}: {error.strerror}.")
    return facts


def require_place(to: Path, *, force: bool) -> None:
    """Raise UsageError where a file or folder is in the way; ``force`` allows the folder of an export alone."""
    if to.exists() and not force:
        raise UsageError(f"--to {to} is not accepted: it exists; --force replaces the folder of an export.")
    if to.exists() and not (to / "card.json").is_file():
        raise UsageError(f"--to {to} is not accepted with --force: it holds no card.json, so it is no export to replace.")


def _write(source: Source, draft: Path, options: Options, say: Callable[[str], None], calibration: np.ndarray | None) -> dict:
    images = read_images(source.paths[:2], source.record.image_size, len(source.record.mean))
    ticket = _deployed(source.net, source)
    small = shrink(source.net, _normalised(ticket, images), options.multiple)
    say(card.removal(small, source.net))
    network, tried = _deployed(small.network, source), []
    running: dict[str, dict[str, Any]] = {"eager": {"ticket": network}}
    if "pt2" in options.formats:
        sparse, tried = sparsify(small.network, _normalised(ticket, images))
        exported = programs.to_pt2(draft / "model.pt2", _deployed(sparse, source), source.shape)
        if any(row["sparse"] for row in tried):
            shutil.copy(csr.__file__, draft / "csr.py")
        running["export"] = {"ticket": exported}
    if "onnx" in options.formats or options.int8:
        programs.to_onnx(draft / "model.onnx", network, source.shape)
        running["onnxruntime"] = {"ticket": draft / "model.onnx"}
    if options.int8:
        programs.to_int8(draft / "model.int8.onnx", draft / "model.onnx", calibration)
        running["onnxruntime"]["int8"] = draft / "model.int8.onnx"
    if "safetensors" in options.formats:
        _compact(source, draft / "model.safetensors")
    say("comparing with the ticket on the test images")
    agreement = _compare(source, ticket, running)
    timed = _timed(source, running, options, draft, say)
    return card.facts(source, small, tried, agreement, timed, draft, options)


def _deployed(net: nn.Module, source: Source) -> nn.Module:
    return programs.Deployed(net, source.record.mean, source.record.std).eval()


def _normalised(deployed: nn.Module, images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images) * deployed.scale + deployed.shift


def _compact(source: Source, path: Path) -> None:
    state = source.net.state_dict()
    compact.write(path, state, source.masks if source.record.round else {})
    read = compact.read(path)
    if not all(np.array_equal(read[name], t.numpy()) for name, t in state.items()):
        raise DataError(f"{path.name} does not hold the weights of the ticket.")


def _compare(source: Source, ticket: nn.Module, running: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, by file, how its predictions differ from the ticket's and its test accuracy. Raises DataError where they differ."""
    cores = os.cpu_count() or 1
    named = {f"{runtime} {name}": one for runtime, names in running.items() for name, one in names.items()}
    results: dict[str, list[np.ndarray]] = {"ticket": [], **{name: [] for name in named}}
    sessions = {name: latency.session(one, cores) if isinstance(one, Path) else one for name, one in named.items()}
    for images in source.images():
        results["ticket"].append(_logits(ticket, images))
        for name, one in sessions.items():
            results[name].append(_logits(one, images))
    logits = {name: np.concatenate(parts) for name, parts in results.items()}
    expected, largest = logits["ticket"], float(np.abs(logits["ticket"]).max())
    agreement = {}
    for name, values in logits.items():
        difference = float(np.abs(values - expected).max())
        differ = int((values.argmax(1) != expected.argmax(1)).sum())
        accuracy = float((values.argmax(1) == source.labels).mean())
        agreement[name] = {"predictions_differ": differ, "largest_difference": difference, "test_acc": accuracy}
        if not name.endswith("int8") and (differ or not difference <= LARGEST * max(largest, 1.0)):
            raise DataError(
                f"the exported network ({name}) is not the ticket: {differ} of {len(expected)} predictions differ, logits by up "
                f"to {difference:.2g}."
            )
    return agreement


def _logits(one: Any, images: np.ndarray) -> np.ndarray:
    if hasattr(one, "run"):
        return one.run(None, {"images": images})[0]
    with torch.no_grad():
        return one(torch.from_numpy(images)).numpy()


def _timed(
    source: Source, running: dict[str, dict[str, Any]], options: Options, draft: Path, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Measure the files beside the dense network's, which are written for it and removed."""
    runtimes = [runtime for runtime in running if runtime in options.runtimes]
    if not runtimes:
        return []
    say(f"timing {', '.join(runtimes)} beside the dense network")
    dense = _deployed(source.dense_net, source)
    versions: dict[str, dict[str, Any]] = {}
    for runtime in runtimes:
        versions[runtime] = {"dense": dense, **running[runtime]}
        if runtime == "export":
            versions[runtime]["dense"] = programs.to_pt2(draft / "dense.pt2", dense, source.shape)
        if runtime == "onnxruntime":
            versions[runtime]["dense"] = draft / "dense.onnx"
            programs.to_onnx(draft / "dense.onnx", dense, source.shape)
    rows = latency.rows(versions, source.shape, options.seconds)
    for name in ("dense.pt2", "dense.onnx"):
        (draft / name).unlink(missing_ok=True)
    return rows


def _note(source: Source, to: Path, facts: dict) -> None:
    """Leave a copy of the card in the outputs folder, for the report."""
    if source.record.folder.parent.name != "rounds":
        return
    exports, folder = source.record.folder.parent.parent / "exports", str(to.resolve())
    exports.mkdir(exist_ok=True)
    files.write_json(exports / f"{source.record.name}.{of_json(folder)[:8]}.json", facts | {"folder": folder})
