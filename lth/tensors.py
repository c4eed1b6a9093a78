"""The bits of tensors: one hash, one comparison."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def bits(tensor: Tensor) -> Tensor:
    """Its bytes in row-major order, uint8 (n,), on the CPU."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the names, types, shapes and bits of tensors, whatever their order."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}\n".encode())
        total.update(bits(state[name]).numpy().tobytes())
    return total.hexdigest()


def differing(live: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are missing, extra, or not equal bit for bit (so -0 is not +0, and NaN equals itself)."""
    odd = set(live) ^ set(expected)
    odd |= {name for name in set(live) & set(expected) if not torch.equal(bits(live[name]), bits(expected[name]))}
    return sorted(odd)
