"""One small file of weights: the survivors of each mask, and the gaps between them."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lth.export import loader
from lth.tree import files

read = loader.load  # by the code that the exported folder documents
LOADER = Path(loader.__file__).read_text(encoding="utf-8")
SKIP = 255  # a gap byte that stands for 255 pruned weights and no survivor


def write(path: Path, state: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Write a state_dict so that a pruned weight takes no byte; ``read`` reads it, with numpy and safetensors alone.

    A weight with a mask becomes its survivors, float32 (kept), and ``<name>.gaps``: the number of pruned weights before each of
    them, deflated by Huffman codes alone, which comes close to the entropy of a mask without pattern.

    Args:
        state: of the full shapes.
        masks: by name in ``state``, bool, True = kept.
    """
    tensors = {}
    for name, tensor in state.items():
        flat = tensor.detach().cpu().contiguous().clone()  # tied weights share memory
        if name in masks:
            mask = masks[name].flatten()
            tensors[name] = flat.flatten()[mask]
            tensors[f"{name}.gaps"] = torch.frombuffer(bytearray(_deflated(_gaps(mask.numpy()))), dtype=torch.uint8)
        else:
            tensors[name] = flat
    from safetensors.torch import save

    shapes = {name: list(mask.shape) for name, mask in masks.items()}
    files.write_bytes(path, save(tensors, {"shapes": json.dumps(shapes)}))


def _gaps(mask: np.ndarray) -> bytes:
    gaps = np.diff(np.flatnonzero(mask), prepend=-1) - 1
    symbols = np.full(len(gaps) + int((gaps // SKIP).sum()), SKIP, np.uint8)
    symbols[np.arange(len(gaps)) + np.cumsum(gaps // SKIP)] = gaps % SKIP
    return symbols.tobytes()


def _deflated(content: bytes) -> bytes:
    """Return the shortest of what deflate makes of it, with Huffman codes alone and with repetitions."""
    options = []
    for strategy in (zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY):
        packer = zlib.compressobj(9, strategy=strategy)
        options.append(packer.compress(content) + packer.flush())
    return min(options, key=len)
