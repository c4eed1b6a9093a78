"""Records and files that say whether they are what was written. Imports nothing of lth."""

import hashlib
import json
from pathlib import Path
from typing import Any


def seal(record: dict[str, Any]) -> str:
    """SHA-256 over all fields of a record but ``seal``, whatever their order; the same before and after a round.json."""
    rest = {name: value for name, value in record.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
