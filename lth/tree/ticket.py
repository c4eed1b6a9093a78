"""A ticket: masks and the weights that they start from."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lth.errors import DataError
from lth.hashes import of_json, of_tensors
from lth.pruning import masks as M
from lth.tree import files

START, ABOUT_START = "start.safetensors", {"format": "lth-start-1"}


@dataclass(frozen=True)
class Ticket:
    """Masks by parameter name, bool, True = kept (all True in round 0), and every tensor to rewind to, unmasked."""

    masks: M.Masks
    rewind: dict[str, Tensor]

    @property
    def start(self) -> dict[str, Tensor]:
        """Every tensor of the state_dict that training starts from, zeros where pruned."""
        return M.apply(self.rewind, self.masks)

    @property
    def density(self) -> float:
        """kept / prunable, in (0, 1]."""
        return M.density(self.masks)


def save_start(folder: Path, state: dict[str, Tensor], parent: Path | None = None) -> str:
    """Write the unmasked weights that a ticket starts from to its folder; return the first 16 digits of their hash.

    Args:
        parent: the folder of a finished round that starts from the same weights. Where the file system has links, both
            are then one file on the disk; a copy of either folder is still complete.
    """
    path = folder / START
    path.unlink(missing_ok=True)
    if parent is not None:
        with suppress(OSError):  # no links on this file system
            os.link(parent / START, path)
    if not path.exists():
        files.write_tensors(path, state, ABOUT_START)
    return of_tensors(state)[:16]


def save_ticket(folder: Path, ticket: Ticket, start: str) -> None:
    """Write ticket.safetensors: one bit for each weight, and in the metadata the masks' shapes and the hash of the start."""
    about = {
        "format": "lth-ticket-2",
        "start": start,
        "shapes": {name: list(mask.shape) for name, mask in ticket.masks.items()},
        "density": ticket.density,
    }
    bits = {name: M.pack(mask) for name, mask in ticket.masks.items()}
    files.write_tensors(folder / "ticket.safetensors", bits, about | {"hash": of_json([about, of_tensors(bits)])})


def load_ticket(folder: str | Path) -> Ticket:
    """Return the ticket in a round's folder, or in a copy of it: ``masks``, ``start``, ``density``.

    Raises:
        DataError: the folder holds no ticket, or a file is not what was written.
    """
    folder = Path(folder).resolve()
    path = folder / "ticket.safetensors"
    if not path.exists():
        raise DataError(f"{folder} holds no ticket.safetensors; name the folder of a round.")
    try:
        bits, about = files.read_tensors(path)
        masks = {name: M.unpack(bits[name], shape) for name, shape in about["shapes"].items()}
        rewind, about_start = files.read_tensors(folder / START)
        intact = about.pop("hash") == of_json([about, of_tensors(bits)]) and of_tensors(rewind)[:16] == about["start"]
    except (DataError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(f"the ticket in {folder} cannot be read ({error}); a file is damaged or missing.") from error
    if not intact or about_start != ABOUT_START:
        raise DataError(f"the ticket in {folder} does not match its hash; a file is damaged.")
    return Ticket(masks, rewind)
