"""Files that are whole or absent: written beside their place, synced, renamed."""

import json
import os
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lth.errors import DataError, notice

if TYPE_CHECKING:
    from torch import Tensor

DAY = 24 * 60 * 60  # seconds


def write_bytes(path: Path, content: bytes, name: str = "") -> None:
    """Write atomically; a reader sees the old file or the new one, whatever happens. Raises OSError naming the file.

    ``name``: what its draft is called after, if not after the file.
    """
    draft = beside(path.with_name(name or path.name))
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.strerror:  # a full disk does not say where it is full
            error.filename, error.filename2 = str(path), None
        with suppress(OSError):
            draft.unlink()
        raise


def remove(path: Path) -> None:
    """Remove a file, or a folder that lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def give_up(path: Path, then: str) -> None:
    """Name a damaged file and say what happens then; where a folder lies in its place, make room to write it again."""
    notice(f"{path} is damaged; {then}.")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)


def beside(path: Path) -> Path:
    """Where this process drafts a file; ``tidy`` finds it."""
    return path.with_name(f".{path.name}.{_here()}.{os.getpid()}.draft")


def tidy(folder: Path) -> None:
    """Remove the drafts that processes of this machine left in a folder when they died, and all that are older than a day."""
    for draft in folder.glob(".*.draft"):
        with suppress(OSError, ValueError):
            *_, pid, _ = draft.name.split(".")
            mine = draft.name.endswith(f".{_here()}.{pid}.draft")
            if (mine and not _alive(int(pid))) or time.time() - draft.stat().st_mtime > DAY:
                draft.unlink()


def _here() -> str:
    """Where numbers of processes mean what they mean here: containers of one name may each count their own."""
    try:
        return f"{socket.gethostname()}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


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
    """The tensors of a safetensors file that ``write_tensors`` wrote, and what it says about them.

    Raises DataError where it is another file, or none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors, about = {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["lth"])  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read ({error}); it is damaged or missing.") from error
    if not isinstance(about, dict):
        raise DataError(f"{path} is damaged: it holds no description.")
    return tensors, about
