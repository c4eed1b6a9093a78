"""Networks with half of their channels against the dense ones, one thread, as ``lth.export`` times them. Random weights."""

import copy
import tempfile
from pathlib import Path

import torch

from lth.config import Config, Data, Model
from lth.export import latency, programs
from lth.models.build import build
from lth.pruning.coupling import coupled
from lth.pruning.slicing import take

CASES = {"simple_cnn": 150, "resnet18": 150, "densenet121": 150, "efficientnet_lite0": 224}


def half() -> None:
    """Print the times of each runtime at batch 1 and 32, and the ratio dense / half."""
    for name, size in CASES.items():
        torch.manual_seed(0)
        dense = build(Config(data=Data(image_size=size), model=Model(name)), 6).net.eval()
        groups, _ = coupled(dense, torch.rand(1, 3, size, size))
        small = take(copy.deepcopy(dense), groups, [torch.arange(group.channels) % 2 == 0 for group in groups])
        weights = [sum(p.numel() for p in net.parameters()) for net in (dense, small)]
        print(f"\n{name} at {size}x{size}, {weights[1] / weights[0]:.2f} of the parameters: dense / half, one thread")
        with tempfile.TemporaryDirectory() as folder:
            files = {which: Path(folder) / f"{which}.onnx" for which in ("dense", "half")}
            for path, net in zip(files.values(), (dense, small)):
                programs.to_onnx(path, programs.Deployed(net, [0.5] * 3, [0.25] * 3), (3, size, size))
            versions = {"eager": {"dense": dense, "half": small}, "onnxruntime": files}
            for row in latency.rows(versions, (3, size, size), counts=(1,)):
                ms, ratio = row["ms"], 1 / row["ratio"]["half"]
                print(
                    f"  {row['runtime']:12} batch {row['batch']:2}: {ms['dense']:9.2f} {ms['half']:9.2f} ms  {ratio:5.2f}",
                    flush=True,
                )
