"""Hashes by which records and files show that they are what was written, and by which rounds have their keys."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def hashed(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal(record: Mapping[str, Any]) -> str:
    """SHA-256 over all fields of a record but ``seal``; the same before it is written and after it is read."""
    return hashed({name: value for name, value in record.items() if name != "seal"})


def listed(paths: list[str], labels: list[int]) -> str:
    """The name of a list of test images: 16 digits, of the paths and labels in their order."""
    return hashlib.sha256(json.dumps({"paths": paths, "labels": labels}).encode()).hexdigest()[:16]


def sha256(path: Path) -> str:
    """Of a file's bytes. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
