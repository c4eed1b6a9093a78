"""Searches of these tests, and what the folders of their rounds hold."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from lth.config import Config
from lth.training.search import search
from lth.tree import files
from lth.tree.record import Record


def run(config: Config, **changes) -> list[Record]:
    """Search with changed fields of a group, such as ``prune__rewind="1ep"``."""
    for name, value in changes.items():
        group, _, key = name.partition("__")
        setattr(config, group, replace(getattr(config, group), **{key: value}))
    return search(config, say=lambda line: None)


def final(record: Record) -> dict[str, Tensor]:
    return files.read_tensors(record.folder / "final.safetensors")[0]


def finals(outputs: Path) -> dict[str, bytes]:
    return {p.parent.name: p.read_bytes() for p in sorted(outputs.glob("rounds/*/final.safetensors"))}


def held(records: list[Record]) -> bool:
    return all(entry["holds"] for record in records for entry in record.checks.values())
