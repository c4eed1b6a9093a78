"""The compact file: bitwise the weights, close to survivors and the entropy of their masks, read by ten lines of plain numpy."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lth.export import compact


@pytest.mark.parametrize("density", [1.0, 0.9, 0.5, 0.2, 0.05, 0.004])
def test_weights_are_the_same_bits_and_the_file_is_close_to_its_bound(tmp_path: Path, density: float) -> None:
    draws = torch.Generator().manual_seed(0)
    mask = torch.rand(600, 500, generator=draws) < density
    weight = torch.randn(600, 500, generator=draws) * mask
    state = {"fc.weight": weight, "fc.bias": torch.randn(600, generator=draws), "bn.num_batches_tracked": torch.tensor(7)}
    compact.write(tmp_path / "w.safetensors", state, {"fc.weight": mask})
    read = compact.read(tmp_path / "w.safetensors")
    assert read.keys() == state.keys()
    assert all(np.array_equal(read[name], t.numpy()) for name, t in state.items())
    p = min(max(mask.float().mean().item(), 1e-9), 1 - 1e-9)
    entropy = mask.numel() * -(p * math.log2(p) + (1 - p) * math.log2(1 - p)) / 8
    size = (tmp_path / "w.safetensors").stat().st_size
    assert size <= 1.05 * (4 * (int(mask.sum()) + 600) + entropy) + 400  # names and shapes


@pytest.mark.parametrize("pattern", ["none", "last", "columns"])
def test_masks_with_a_pattern(tmp_path: Path, pattern: str) -> None:
    mask = torch.zeros(40, 1000, dtype=torch.bool)
    if pattern == "last":
        mask[-1, -1] = True
    if pattern == "columns":
        mask[:, ::7] = True
    weight = torch.randn(40, 1000) * mask
    compact.write(tmp_path / "w.safetensors", {"w": weight}, {"w": mask})
    assert np.array_equal(compact.read(tmp_path / "w.safetensors")["w"], weight.numpy())


def test_the_loader_needs_numpy_and_safetensors_alone(tmp_path: Path) -> None:
    compact.write(tmp_path / "w.safetensors", {"w": torch.eye(3)}, {"w": torch.eye(3).bool()})
    code = f"""import sys
sys.modules["torch"] = None
{compact.LOADER}
print(load({str(tmp_path / "w.safetensors")!r})["w"].tolist())"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(torch.eye(3).tolist()), done.stderr
    assert len([line for line in compact.LOADER.splitlines() if line.startswith("    ")]) <= 12
