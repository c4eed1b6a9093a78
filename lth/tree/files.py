"""Files that are written atomically: drafted beside their place, synced, renamed."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import DataError
from lth.hashes import of_json, of_tensors

if TYPE_CHECKING:
    from torch import Tensor

    State = dict[str, Tensor]

HOUR = 3600.0  # seconds


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file: readers see the old one or the new one, also after a crash. Raises OSError naming it."""
    draft = path.with_name(f".{os.urandom(8).hex()}.draft")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except OSError as error:
        if error.strerror:  # a full disk does not say where it is full
            error.filename, error.filename2 = str(path), None
        with suppress(OSError):
            draft.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_tensors(path: Path, tensors: "State", about: dict[str, Any]) -> None:
    """Write a safetensors file with ``about`` as JSON in its metadata.

    All of ``about`` is one entry, ``lth``: the order of several is random, and equal rounds would not be equal files.
    """
    from safetensors.torch import save

    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_bytes(path, save(contiguous, {"lth": json.dumps(about)}))


def read_tensors(path: Path) -> "tuple[State, dict[str, Any]]":
    """Return what ``write_tensors`` wrote. Raises DataError where the file is another, or missing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(json.loads(file.metadata()["lth"]))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); it is damaged or missing.") from error


def write_hashed(path: Path, tensors: "State", about: dict[str, Any]) -> None:
    """``write_tensors`` with the hash of both in the metadata."""
    write_tensors(path, tensors, about | {"hash": of_json([about, of_tensors(tensors)])})


def read_hashed(path: Path, about_format: str) -> "tuple[State, dict[str, Any]]":
    """Return what ``write_hashed`` wrote. Raises DataError where the file is damaged, another, or missing."""
    tensors, about = read_tensors(path)
    expected = about.pop("hash", None)
    if about.get("format") != about_format or expected != of_json([about, of_tensors(tensors)]):
        raise DataError(f"{path} is damaged: it does not match its hash.")
    return tensors, about


def tidy(folder: Path, age: float = HOUR) -> None:
    """Remove drafts that killed processes left in a folder: no write takes an hour."""
    for draft in folder.glob(".*.draft"):
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime >= age:
                draft.unlink()
