"""Masks as pure functions. A mask is a bool tensor, True = kept; masks are a dict, parameter name -> mask.

Masks are in the order of the network's parameters; with the flat index within a tensor this is the *position* by which
ties are broken, so a mask never depends on the device, the rank or the sorting algorithm.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lth.errors import InvariantError, NumberError

Masks = dict[str, Tensor]
LAYERS = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
WEIGHTS = {"weight", "in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"}  # theirs that may be pruned


def prunable(module: nn.Module, *, spare: Collection[str] = (), scope: str = "trainable") -> list[str]:
    """Return the names of the weights that may be pruned: of Conv and Linear layers and the projections of
    attention, in parameter order.

    ``spare`` names submodules that are left out, with all layers inside: ``fc`` spares ``fc.2.weight``, not ``fc2.weight``;
    AttributeError where there is no such submodule. ``scope``: ``trainable``, or with frozen weights too.
    """
    layers = [m for m in module.modules() if isinstance(m, LAYERS)]
    layers = {id(p) for m in layers for name, p in m.named_parameters(recurse=False) if name in WEIGHTS}
    layers -= {id(p) for name in spare for p in module.get_submodule(name).parameters()}  # by identity: weights may be tied
    weights = ((name, p) for name, p in module.named_parameters() if id(p) in layers)
    return [name for name, p in weights if p.requires_grad or scope != "trainable"]


def dense(params: Mapping[str, Tensor]) -> Masks:
    """Return masks that keep everything, one for each tensor, on the CPU."""
    return {name: torch.ones(p.shape, dtype=torch.bool) for name, p in params.items()}


def size(masks: Masks) -> int:
    """Return the number of prunable weights."""
    return sum(mask.numel() for mask in masks.values())


def kept(masks: Masks) -> int:
    """Return the number of kept weights."""
    return sum(int(mask.count_nonzero()) for mask in masks.values())


def density(masks: Masks) -> float:
    """Return kept / prunable, in [0, 1]."""
    return kept(masks) / size(masks)


def per_layer(masks: Masks) -> dict[str, float]:
    """Return the density of each layer, in [0, 1]."""
    return {name: density({name: mask}) for name, mask in masks.items()}


def kept_per_layer(masks: Masks) -> dict[str, int]:
    """Return the number of kept weights of each layer."""
    return {name: kept({name: mask}) for name, mask in masks.items()}


def kept_after(kept: int, rate: float | Fraction, rounds: int = 1) -> int:
    """Return how many weights are kept after ``rounds`` rounds that each prune the fraction ``rate`` of those remaining.

    Each prunes the nearest integer to rate x kept (half to even), in exact arithmetic on the decimal value of ``rate``;
    so one shot over three rounds keeps exactly what three rounds keep.
    """
    if not 0 < rate < 1:
        raise ValueError(f"rate={rate} is not accepted: it takes a fraction above 0 and below 1.")
    for _ in range(rounds):
        kept -= round(Fraction(str(rate)) * kept)
    return kept


def keep_top(scores: Mapping[str, Tensor], masks: Masks, keep: int | Mapping[str, int]) -> Masks:
    """Return masks that keep exactly the ``keep`` best-scored of the weights that ``masks`` keep.

    Of equal scores the earlier position is kept. Only kept weights are ranked, so a mask never regrows a weight.

    Args:
        scores: one floating-point tensor for each mask, of its shape. Compared in float32, or in float64 where one is float64.
        keep: between 0 and the number of weights that ``masks`` keep, over all tensors; or such a number for each tensor.

    Raises ValueError where ``keep`` is not accepted, NumberError where the score of a kept weight is not a finite number.
    """
    if isinstance(keep, Mapping):
        return {name: keep_top(scores, {name: mask}, keep[name])[name] for name, mask in masks.items()}
    dtype = torch.float64 if any(scores[name].dtype == torch.float64 for name in masks) else torch.float32
    ranked = np.concatenate([scores[name].detach().cpu().to(dtype)[mask].numpy() for name, mask in masks.items()])
    if not 0 <= keep <= ranked.size:
        raise ValueError(f"cannot keep {keep} of {ranked.size} weights in {', '.join(masks)}.")
    if not np.isfinite(ranked).all():
        raise NumberError(
            "a score to be ranked is infinite or not a number: training, or the criterion, left the range of numbers."
        )
    chosen = np.zeros(ranked.size, dtype=bool)
    if keep:  # a partition, then a pass over the ties
        threshold = np.partition(ranked, ranked.size - keep)[ranked.size - keep]
        chosen = ranked > threshold
        ties = np.flatnonzero(ranked == threshold)
        chosen[ties[: keep - np.count_nonzero(chosen)]] = True
    parts = torch.from_numpy(chosen).split(list(kept_per_layer(masks).values()))
    return {name: torch.zeros_like(mask).masked_scatter_(mask, part) for (name, mask), part in zip(masks.items(), parts)}


def shuffled(masks: Masks, seed: int) -> Masks:
    """Return each mask with its entries permuted within the layer."""
    generator = torch.Generator().manual_seed(seed)
    return {n: m.flatten()[torch.randperm(m.numel(), generator=generator)].view(m.shape) for n, m in masks.items()}


def random_like(masks: Masks, seed: int) -> Masks:
    """Return masks that keep as many weights of each layer, drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    scores = {name: torch.rand(mask.shape, generator=generator) for name, mask in masks.items()}
    return keep_top(scores, dense(masks), kept_per_layer(masks))


def apply(state: Mapping[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    """Return a new state dict: +0 where a mask prunes, the same bits elsewhere; other tensors are passed on as they are."""
    return {name: torch.where(masks[name], t, torch.zeros_like(t)) if name in masks else t for name, t in state.items()}


def signed(state: Mapping[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    """Return ``state`` where each weight with a mask has its sign alone: times the standard deviation of its layer's weights.

    The deviation (n in the denominator) is of all weights of the layer, computed in float64; weights of 0 stay 0 (Zhou et al.
    2019, arXiv 1905.01067, section 4).
    """
    return {n: (t.sign() * t.double().std(correction=0)).to(t.dtype) if n in masks else t for n, t in state.items()}


def multiply_(pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Multiply each tensor by its multiplier (1 or 0, same shape, dtype and device) in place, in one fused call."""
    if pairs:
        with torch.no_grad():
            torch._foreach_mul_([tensor for tensor, _ in pairs], [multiplier for _, multiplier in pairs])


def rewind_(network: nn.Module, state: Mapping[str, Tensor], masks: Masks) -> None:
    """Copy ``state`` x ``masks`` into the network's parameters and buffers; names that ``state`` lacks stay as they are."""
    live = network.state_dict()
    with torch.no_grad():
        for name, start in apply(state, masks).items():
            live[name].copy_(start)


def mask_(network: nn.Module, masks: Masks) -> dict[str, nn.Parameter]:
    """Set pruned weights to 0 in place; return those with a mask, the only ones to require gradients."""
    network.requires_grad_(False)
    weights = {name: network.get_parameter(name) for name in masks}
    for name, p in weights.items():
        p.data.masked_fill_(~masks[name].to(p.device), 0)
        p.requires_grad_(True)
    return weights


def regrown(child: Masks, parent: Masks) -> int:
    """Count the weights that ``child`` keeps although ``parent`` had pruned them; 0 where masks are nested."""
    return sum(int((child[name] & ~parent[name]).count_nonzero()) for name in child if name in parent)


def revived(state: Mapping[str, Tensor], masks: Masks) -> int:
    """Count the pruned weights in ``state`` that are not exactly 0 (NaN counts)."""
    return sum(int(((state[name].detach().cpu() != 0) & ~mask).count_nonzero()) for name, mask in masks.items())


def pack(mask: Tensor) -> Tensor:
    """Return the mask at one bit a weight: uint8 of ceil(n / 8) bytes, first weight in the highest bit, zeros at the end."""
    return torch.from_numpy(np.packbits(mask.detach().cpu().numpy().ravel()))


def unpack(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the mask of ``shape`` that ``pack`` packed. Raises ValueError where the bytes cannot be of such a mask."""
    count = int(np.prod(shape, dtype=np.int64))
    flat = np.unpackbits(bits.numpy()).astype(bool)
    if bits.numel() != (count + 7) // 8 or flat[count:].any():
        raise ValueError(f"{bits.numel()} bytes are no mask of shape {tuple(shape)}.")
    return torch.from_numpy(flat[:count].copy()).reshape(shape)


def hash_masks(masks: Masks) -> str:
    """Return the SHA-256 over names, shapes and bits, in order; equal on every device and rank that holds the same masks."""
    parts = (f"{name}{tuple(mask.shape)}".encode() + pack(mask).numpy().tobytes() for name, mask in masks.items())
    return hashlib.sha256(b"".join(parts)).hexdigest()


def to_state(masks: Masks) -> dict[str, Any]:
    """Return the masks at one bit a weight with their hash, as ``torch.load(weights_only=True)`` reads them."""
    packed = {name: (pack(mask), list(mask.shape)) for name, mask in masks.items()}
    return {"packed": packed, "hash": hash_masks(masks)}


def from_state(state: Mapping[str, Any]) -> Masks:
    """Return the masks that ``to_state`` packed. Raises InvariantError where they are not the ones that were saved."""
    masks = {name: unpack(bits, shape) for name, (bits, shape) in state["packed"].items()}
    if hash_masks(masks) != state["hash"]:
        raise InvariantError("the masks in the checkpoint do not match their hash; the file is damaged.")
    return masks
