"""Hashes of what is written as JSON: keys of rounds, and seals by which a record shows that it is what was written."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def hashed(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its fields."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal(record: Mapping[str, Any]) -> str:
    """SHA-256 over all fields of a record but ``seal``; the same before it is written and after it is read."""
    return hashed({name: value for name, value in record.items() if name != "seal"})
