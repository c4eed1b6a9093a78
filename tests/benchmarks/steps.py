"""A masked training step against a dense one; the CPU's levers; ranking."""

import subprocess
import sys
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from lth.config import Optim
from lth.models.classifier import build_optimizer
from lth.models.small import Dropout, lenet_300_100, simple_cnn
from lth.pruning import masks as M
from lth.training import device
from tests.benchmarks.timing import medians, show


def stepper(
    net: nn.Module, images: torch.Tensor, masked: bool, optimizer: torch.optim.Optimizer | None = None
) -> Callable[[], None]:
    """One training step of Adam, with our two multiplications or without."""
    optimizer = optimizer or build_optimizer(Optim(), list(net.parameters()))
    labels = torch.randint(0, 6, (len(images),))
    params = [p for n, p in net.named_parameters() if n in set(M.prunable(net))]
    multipliers = [torch.empty_like(p.data).copy_(torch.rand_like(p) < 0.5) for p in params]

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        if masked:
            M.multiply_([(p.grad, m) for p, m in zip(params, multipliers)])
        optimizer.step()
        if masked:
            M.multiply_(list(zip(params, multipliers)))

    return step


def pixels(n: int, size: int) -> torch.Tensor:
    return torch.randn(n, 3, size, size).contiguous(memory_format=torch.channels_last)


def networks() -> dict[str, tuple[Callable[[], nn.Module], torch.Tensor]]:
    from torchvision.models import resnet18

    return {
        "simple_cnn, batch 64 at 150x150": (lambda: simple_cnn(6, 150), pixels(64, 150)),
        "resnet18, batch 32 at 150x150": (lambda: resnet18(num_classes=6), pixels(32, 150)),
        "lenet_300_100, batch 64 at 28x28": (lambda: lenet_300_100(10, 28), pixels(64, 28)),
    }


def masked() -> None:
    """Masked step / dense step."""
    device.prepare(deterministic=False)
    for name, (build, images) in networks().items():
        steps = {}
        for kind in ("dense", "masked"):
            torch.manual_seed(0)
            steps[kind] = stepper(build().to(memory_format=torch.channels_last), images, kind == "masked")
        peer = build()
        for module in list(peer.modules()):
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                prune.random_unstructured(module, "weight", 0.5)
        peer.to(memory_format=torch.channels_last)
        steps["torch.nn.utils.prune, torch's default Adam"] = stepper(peer, images, False, torch.optim.Adam(peer.parameters()))
        show(f"masked step, {name}", medians(steps, runs=9 if "resnet" in name else 21), "dense")


LEVERS = """
import sys, torch
from lth.models.small import simple_cnn
from tests.benchmarks.steps import pixels, stepper
from tests.benchmarks.timing import medians
allocator, channels_last, fused, dropout = (flag == "1" for flag in sys.argv[1:5])
if allocator:
    from lth.training import device
    device.prepare(deterministic=False)
net = simple_cnn(6, 150)
images = pixels(64, 150)
if not dropout:
    net.conv1[3] = net.conv2[3] = torch.nn.Dropout(0.2)
if channels_last:
    net = net.to(memory_format=torch.channels_last)
else:
    images = images.contiguous()
optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=fused or None)
print(medians({"step": stepper(net, images, False, optimizer)}, runs=9)["step"])
"""


def levers() -> None:
    """What each CPU lever is worth on simple_cnn: all of them on, then each one off, in fresh processes, in turn."""
    kinds = {
        "all on": "1111",
        "allocator off": "0111",
        "channels_last off": "1011",
        "fused off": "1101",
        "our dropout off": "1110",
        "all off": "0000",
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(3):
        for name, flags in kinds.items():
            told = subprocess.run([sys.executable, "-c", LEVERS, *flags], check=True, capture_output=True, text=True)
            times[name].append(float(told.stdout))
    show("levers, simple_cnn, batch 64 at 150x150, a dense step", {n: sorted(t)[1] for n, t in times.items()}, "all on")


def ranking() -> None:
    """Exact global ranking of 1, 10 and 100 million weights, in the first round and at 95% sparsity."""
    for millions in (1, 10, 100):
        weights = {"w": torch.randn(millions * 10**6).abs_()}
        dense = M.dense(weights)
        sparse = M.keep_top(weights, dense, millions * 50_000)
        functions = {
            "first round": lambda w=weights, d=dense, m=millions: M.keep_top(w, d, m * 800_000),
            "at 5% density": lambda w=weights, s=sparse, m=millions: M.keep_top(w, s, m * 40_000),
            "torch.sort(stable=True)": lambda w=weights: torch.sort(w["w"], stable=True),
        }
        show(f"ranking {millions} million weights", medians(functions, runs=3, warm=1), "first round")


def dropout() -> None:
    """Our dropout against torch's, on the larger feature map of simple_cnn."""
    device.prepare(deterministic=False)
    x = torch.randn(64, 15, 75, 75).contiguous(memory_format=torch.channels_last)
    ours, theirs = Dropout(0.2), nn.Dropout(0.2)
    show("dropout", medians({"torch": lambda: theirs(x), "ours": lambda: ours(x)}), "torch")
