"""How large and how fast the tickets of a study are, by ``lth.export``."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from lth.errors import LthError, notice
from lth.training.experiment import Say
from lth.tree.record import Record

SECONDS = 1.0  # of each timing


def export(records: Sequence[Record], folder: Path, say: Say) -> None:
    """Export rounds into a folder, unless they are there; what cannot be exported is named, and has no time and no size."""
    if new := [record for record in records if not (folder / record.name / "card.json").exists()]:
        from lth.export import build, programs, source

        onnx = all(find_spec(name) for name in programs.ONNX)  # else PyTorch is timed
        formats, runtime = (("onnx", "safetensors"), "onnxruntime") if onnx else (("safetensors",), "eager")
        options = build.Options(formats, (runtime,), seconds=SECONDS)
        for record in new:
            say(f"exporting    {record.name}, timed in {runtime} beside its dense network")
            try:
                build.export(source.load(record.folder), folder / record.name, options, lambda line: None)
            except LthError as error:
                notice(f"{record.name} is not measured: {error}")
