"""What ``model.safetensors`` holds, read with numpy and safetensors alone; the README.md of an export shows this file."""

import json
import zlib

import numpy as np
from safetensors import safe_open


def load(path):
    """Return the weights by name, float32 arrays of their full shape; pruned weights are 0."""
    with safe_open(path, "np") as file:
        shapes, names = json.loads(file.metadata()["shapes"]), file.keys()
        state = {name: file.get_tensor(name) for name in names}
    for name, shape in shapes.items():
        gaps = np.frombuffer(zlib.decompress(state.pop(f"{name}.gaps").tobytes()), np.uint8)
        ends = np.cumsum(np.where(gaps < 255, gaps + np.int64(1), 255))
        full = np.zeros(shape, np.float32)
        full.flat[ends[gaps < 255] - 1] = state[name]
        state[name] = full
    return state
