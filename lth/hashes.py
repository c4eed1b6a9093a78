"""Hashes of values, files and tensors. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def of_json(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def of_record(record: Mapping[str, Any]) -> str:
    """SHA-256 over all fields of a record but ``hash``; the same before it is written and after it is read."""
    return of_json({name: value for name, value in record.items() if name != "hash"})


def of_test_images(paths: list[str], labels: list[int]) -> str:
    """The name of a list of test images: 16 digits, of the paths and labels in their order."""
    return hashlib.sha256(json.dumps({"paths": paths, "labels": labels}).encode()).hexdigest()[:16]


def of_file(path: Path) -> str:
    """Of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bits(tensor: "Tensor") -> "Tensor":
    """Its bytes in row-major order, uint8 (n,), on the CPU."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def of_tensors(state: "Mapping[str, Tensor]") -> str:
    """SHA-256 over the names, types, shapes and bits of tensors, whatever their order."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}\n".encode())
        total.update(bits(state[name]).numpy().tobytes())
    return total.hexdigest()


def differing(live: "Mapping[str, Tensor]", expected: "Mapping[str, Tensor]") -> list[str]:
    """Names of the tensors that are missing, extra, or not equal bit for bit (so -0 is not +0, and NaN equals itself)."""
    import torch

    odd = set(live) ^ set(expected)
    odd |= {name for name in set(live) & set(expected) if not torch.equal(bits(live[name]), bits(expected[name]))}
    return sorted(odd)
