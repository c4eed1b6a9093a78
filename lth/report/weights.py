"""Masks and weights of rounds, read by numpy: masks stay packed at eight weights a byte."""

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from lth.report.read import Found, Record, intact

BROKEN = (OSError, ValueError, KeyError, TypeError, SafetensorError)  # TypeError: bfloat16, which numpy does not know
Bits = dict[str, np.ndarray]


def bits(record: Record) -> Bits:
    """The packed masks of a round: name -> uint8 (ceil(n / 8)), first weight in the highest bit, zeros at the end.

    Raises one of BROKEN where ticket.safetensors is missing or damaged.
    """
    masks = _tensors(intact(record, "ticket.safetensors"))
    if any(mask.dtype != np.uint8 for mask in masks.values()):
        raise ValueError("masks that are not packed bits")
    return masks


def _tensors(path: Path, names: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys() if names(name)}  # noqa: SIM118


def overlap(one: Bits, other: Bits) -> float:
    """Intersection over union of the kept weights of two tickets of one architecture, in [0, 1].

    Raises ValueError for masks of different layers.
    """
    if {n: b.shape for n, b in one.items()} != {n: b.shape for n, b in other.items()}:
        raise ValueError("masks of different layers have no overlap.")
    both = sum(int(np.bitwise_count(one[name] & other[name]).sum()) for name in one)
    either = sum(int(np.bitwise_count(one[name] | other[name]).sum()) for name in one)
    return both / either if either else 0.0


def by_chance(layers: Mapping[str, tuple[int, float]]) -> float:
    """The overlap to expect of two masks drawn apart at random, each with these layers' (weights, density)."""
    both = sum(n * d * d for n, d in layers.values())
    either = sum(n * d * (2 - d) for n, d in layers.values())
    return both / either if either else 0.0


def loaded(records: list[Record], found: Found) -> list[tuple[Record, Bits]]:
    """The records whose masks can be read, with them; the others are noted as skipped."""
    good = []
    for record in records:
        try:
            good.append((record, bits(record)))
        except BROKEN as error:
            found.skip(record["folder"], f"its ticket.safetensors cannot be read ({error}); left out of mask overlaps")
    return good


def overlaps(masks: list[Bits]) -> np.ndarray:
    """Every pair's overlap: float (n, n), ones on the diagonal, NaN for masks of different layers."""
    table = np.eye(len(masks))
    for i, j in combinations(range(len(masks)), 2):
        try:
            table[i, j] = table[j, i] = overlap(masks[i], masks[j])
        except ValueError:
            table[i, j] = table[j, i] = np.nan
    return table


def kept_weights(record: Record, file: str) -> np.ndarray:
    """The values, in a file of weights of a round, of what its masks keep: float32 (kept,). Raises one of BROKEN."""
    packed = bits(record)
    state = _tensors(intact(record, file), packed.__contains__)
    parts = [state[name].ravel()[np.unpackbits(b, count=state[name].size).astype(bool)] for name, b in packed.items()]
    return np.concatenate(parts).astype(np.float32)


def before_and_after(record: Record) -> tuple[np.ndarray, np.ndarray]:
    """A round's kept weights as training found them, and as it left them. Raises one of BROKEN.

    Controls apart, a round starts from the file that its record names.
    """
    start = "start.safetensors"
    return kept_weights(record, start), kept_weights(record, "final.safetensors")
