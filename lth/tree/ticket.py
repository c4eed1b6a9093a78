"""A ticket: masks and the weights that they start from."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lth.errors import DataError
from lth.hashes import differing, of_tensors
from lth.pruning import channels
from lth.pruning import masks as M
from lth.pruning.channels import Group
from lth.tree import files
from lth.tree.record import Record

TICKET, START, FINAL = "ticket.safetensors", "start.safetensors", "final.safetensors"
FORMAT, ABOUT_START = "lth-ticket-2", {"format": "lth-start-1"}
DENSE, COMPACT = "lth-final-1", "lth-final-compact-1"


@dataclass(frozen=True)
class Ticket:
    """Masks by parameter name, bool, True = kept (all True in round 0), and every tensor to rewind to, unmasked.

    A finished gradual round has its last masks; its training started from the unmasked tensors.
    """

    masks: M.Masks
    rewind: dict[str, Tensor]
    groups: tuple[Group, ...] = ()  # of coupled channels, where channels are pruned

    @property
    def start(self) -> dict[str, Tensor]:
        """Every tensor of the state_dict that training starts from, zeros where pruned."""
        return M.apply(self.rewind, self.masks)

    @property
    def density(self) -> float:
        """kept / prunable, in (0, 1]."""
        return M.density(self.masks)


def save_final(folder: Path, weights: dict[str, Tensor], masks: M.Masks, about: dict[str, Any], *, compact: bool) -> str:
    """Write the final weights of a round and what describes the network; return the format of the file.

    Args:
        compact: of tensors with masks only the kept weights are written, one after the other in row-major order, unless all
            are kept, or a pruned one is not +0, which a full tensor is to show.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in weights.items()}
    compact = compact and M.density(masks) < 1 and not differing(weights, M.apply(weights, masks))
    about = about | {"format": COMPACT if compact else DENSE}
    kept = {name: weights[name][mask] for name, mask in masks.items()} if compact else {}
    files.write_tensors(folder / FINAL, weights | kept, about)
    return about["format"]


def load_final(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the final weights of a round, of their full shapes, and what their file says of the network.

    Raises DataError where the file, or that of the masks which a compact one needs, is damaged or missing.
    """
    weights, about = files.read_tensors(folder / FINAL)
    if about.get("format") != COMPACT:
        return weights, about
    masks = load_masks(folder)
    if any(name not in weights or weights[name].shape != (int(mask.sum()),) for name, mask in masks.items()):
        raise DataError(f"{folder / FINAL} is damaged: it does not match the masks in {TICKET}.")
    full = {name: weights[name].new_zeros(mask.shape).masked_scatter_(mask, weights[name]) for name, mask in masks.items()}
    return weights | full, about


def save_start(folder: Path, state: dict[str, Tensor], parent: Record | None = None) -> str:
    """Write the unmasked weights that a ticket starts from to its folder; return the first 16 digits of their hash.

    Args:
        parent: the round before. If it starts from the same weights, both are one file on the disk, where the file system
            has links; a copy of either folder is still complete.
    """
    path, start = folder / START, of_tensors(state)[:16]
    path.unlink(missing_ok=True)
    if parent is not None and parent.start == start:
        with suppress(OSError):  # no links on this file system
            os.link(parent.folder / START, path)
    if not path.exists():
        files.write_tensors(path, state, ABOUT_START)
    return start


def save_ticket(folder: Path, ticket: Ticket, start: str) -> None:
    """Write ticket.safetensors: one bit for each weight; shapes and the hash of the start as metadata."""
    about = {
        "format": FORMAT,
        "start": start,
        "shapes": {name: list(mask.shape) for name, mask in ticket.masks.items()},
        "density": ticket.density,
    }
    if ticket.groups:
        about["groups"] = channels.to_json(ticket.groups)
    files.write_hashed(folder / TICKET, {name: M.pack(mask) for name, mask in ticket.masks.items()}, about)


def load_masks(folder: Path) -> M.Masks:
    """Return the masks in a round's folder. Raises DataError where the file is damaged or missing."""
    return _load_masks(folder)[0]


def load_ticket(folder: str | Path) -> Ticket:
    """Return the ticket in a round's folder, or in a copy of it: ``masks``, ``start``, ``density``.

    Raises:
        DataError: the folder holds no ticket, or a file is not what was written.
    """
    folder = Path(folder)
    masks, about = _load_masks(folder)
    rewind, about_start = files.read_tensors(folder / START)
    if about_start != ABOUT_START or of_tensors(rewind)[:16] != about["start"]:
        raise DataError(f"{folder / START} is damaged: it does not match the hash in {TICKET}.")
    return Ticket(masks, rewind, tuple(channels.from_json(about.get("groups", []))))


def _load_masks(folder: Path) -> tuple[M.Masks, dict[str, Any]]:
    bits, about = files.read_hashed(folder / TICKET, FORMAT)
    return {name: M.unpack(bits[name], shape) for name, shape in about["shapes"].items()}, about
