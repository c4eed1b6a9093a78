"""Files that are written atomically: drafted beside their place, synced, renamed."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

HOUR = 3600.0  # seconds


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see the old file or the new one, also after a crash. Raises OSError naming the file."""
    name = path.name.replace("tfevents", "events")  # TensorBoard reads every file with tfevents in its name
    draft = path.with_name(f".{name}.{os.urandom(4).hex()}.draft")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync(path.parent)
    except OSError as error:
        if error.strerror:  # a full disk does not say where it is full
            error.filename, error.filename2 = str(path), None
        with suppress(OSError):
            draft.unlink()
        raise


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_tensors(path: Path, tensors: "dict[str, Tensor]", about: dict[str, Any]) -> None:
    """Write a safetensors file, atomically, with ``about`` as JSON in its metadata.

    All of ``about`` is one entry, ``lth``: the order of several is random, and equal rounds would not be equal files.
    """
    from safetensors.torch import save

    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_bytes(path, save(contiguous, {"lth": json.dumps(about)}))


def read_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """Return the tensors and ``about`` that ``write_tensors`` wrote. Raises DataError where the file is another, or missing."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors, about = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["lth"])  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); it is damaged or missing.") from error
    if not isinstance(about, dict):
        raise DataError(f"{path} is damaged: its metadata is no JSON object.")
    return tensors, about


def remove(path: Path) -> None:
    """Remove a file, or a folder in its place; nothing where there is neither."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def tidy(folder: Path, age: float = HOUR) -> None:
    """Remove a folder's drafts that are older than ``age`` seconds. No write takes an hour: killed processes left them."""
    for draft in folder.glob(".*.draft"):
        with suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime >= age:
                draft.unlink()


def _sync(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
