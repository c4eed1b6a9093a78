"""Hashes of values, files and tensors: SHA-256 in hexadecimal digits. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def of_json(value: Any) -> str:
    """Return the hash of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def of_record(facts: Mapping[str, Any]) -> str:
    """Return the hash of a record's fields but ``hash``; the same before it is written and after it is read."""
    return of_json({name: value for name, value in facts.items() if name != "hash"})


def of_test_images(paths: list[str], labels: list[int]) -> str:
    """Return the first 16 digits of the hash of a list of test images, in its order."""
    return hashlib.sha256(json.dumps({"paths": paths, "labels": labels}).encode()).hexdigest()[:16]


def of_file(path: Path) -> str:
    """Return the hash of a file. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bits(tensor: "Tensor") -> "Tensor":
    """Return a tensor's bytes in row-major order, uint8 (n,), on the CPU."""
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def of_tensors(state: "Mapping[str, Tensor]") -> str:
    """Return the hash of the names, types, shapes and bits of tensors, whatever their order."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}\n".encode())
        total.update(bits(state[name]).numpy().tobytes())
    return total.hexdigest()


def differing(left: "Mapping[str, Tensor]", right: "Mapping[str, Tensor]") -> list[str]:
    """Return the names of tensors that one side lacks or whose bits differ (-0 is not +0, and NaN equals itself)."""
    import torch

    odd = set(left) ^ set(right)
    odd |= {name for name in set(left) & set(right) if not torch.equal(bits(left[name]), bits(right[name]))}
    return sorted(odd)
