"""A ticket: masks and the weights they start from; how it is written and read."""

import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lth.errors import DataError
from lth.hashes import of_tensors
from lth.pruning import masks as M
from lth.tree import files

START = "start.safetensors"


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
    """Write the unmasked weights that a ticket starts from to its folder; returns the first 16 digits of their hash.

    Args:
        parent: the folder of a finished round that starts from the same weights: then one file on the disk is both, where
            the file system can link files; a copy of either folder holds it all the same.
    """
    path = folder / START
    path.unlink(missing_ok=True)
    try:
        if parent is not None:
            os.link(parent / START, path)
    except OSError:  # no links here
        parent = None
    if parent is None:
        files.write_tensors(path, state, {"format": "lth-start-1"})
    return of_tensors(state)[:16]


def save_ticket(folder: Path, ticket: Ticket, start: str) -> None:
    """Write ticket.safetensors: each mask at one bit a weight, and in the metadata their shapes and the name of the start."""
    about = {
        "format": "lth-ticket-1",
        "start": start,
        "shapes": {name: list(mask.shape) for name, mask in ticket.masks.items()},
        "digest": M.hash_masks(ticket.masks),
        "density": ticket.density,
    }
    files.write_tensors(folder / "ticket.safetensors", {n: M.pack(m) for n, m in ticket.masks.items()}, about)


def load_ticket(folder: str | Path) -> Ticket:
    """The ticket in a round's folder, or in a copy of it: ``masks``, ``start``, ``density``.

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
        rewind, _ = files.read_tensors(folder / START)
    except (DataError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise DataError(f"the ticket in {folder} cannot be read ({error}); a file is damaged or missing.") from error
    if M.hash_masks(masks) != about.get("digest") or of_tensors(rewind)[:16] != about["start"]:
        raise DataError(f"the ticket in {folder} does not match its hash; a file is damaged.")
    return Ticket(masks, rewind)
