"""Files that are whole or absent: written beside their place, synced, renamed."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def write_bytes(path: Path, content: bytes) -> None:
    """Write atomically; a reader sees the old file or the new one, whatever happens."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    with open(draft, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def write_tensors(path: Path, tensors: "dict[str, Tensor]", about: dict[str, Any]) -> None:
    """A safetensors file. ``about`` is kept as JSON under the one metadata entry ``lth``: of several, the order in the
    file would be random, and equal rounds would not be equal files."""
    from safetensors.torch import save

    whole = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_bytes(path, save(whole, {"lth": json.dumps(about)}))


def read_tensors(path: Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The tensors of a safetensors file that ``write_tensors`` wrote, and what it says about them."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["lth"])  # noqa: SIM118


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
