"""Networks with half of their channels against the dense ones, one thread, as ``lth.export`` times them. Random weights."""

import copy
import tempfile
from pathlib import Path

import torch

from lth.config import Config, Data, Model
from lth.export import card, latency, programs
from lth.models.build import build
from lth.pruning.coupling import coupled
from lth.pruning.slicing import take
from tests.benchmarks.timing import show

CASES = {"simple_cnn": 150, "resnet18": 150, "densenet121": 150, "efficientnet_lite0": 224}


def half() -> None:
    """Each runtime at batch 1 and 32."""
    for name, size in CASES.items():
        torch.manual_seed(0)
        dense = build(Config(data=Data(image_size=size), model=Model(name)), 6).net.eval()
        groups, _ = coupled(dense, torch.rand(1, 3, size, size))
        small = take(copy.deepcopy(dense), groups, [torch.arange(group.channels) % 2 == 0 for group in groups])
        share = card.parameters(small) / card.parameters(dense)
        with tempfile.TemporaryDirectory() as folder:
            files = {which: Path(folder) / f"{which}.onnx" for which in ("dense", "half")}
            for path, net in zip(files.values(), (dense, small)):
                programs.to_onnx(path, programs.Deployed(net, [0.5] * 3, [0.25] * 3), (3, size, size))
            versions = {"eager": {"dense": dense, "half": small}, "onnxruntime": files}
            for row in latency.rows(versions, (3, size, size), counts=(1,)):
                title = f"{name} at {size}x{size}, {share:.2f} of the parameters, {row['runtime']}, batch {row['batch']}"
                show(title, {which: ms / 1000 for which, ms in row["ms"].items()}, "dense")
