"""A masked training step against a dense one; what levers are worth on a CPU; ranking."""

import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from lth.config import Config, Model, Optim
from lth.models.build import build
from lth.models.classifier import build_optimizer
from lth.models.small import lenet_300_100, simple_cnn
from lth.pruning import masks as M
from tests.benchmarks.timing import medians, parameters, pixels, show, train

NETWORKS = {  # what makes one, its images, turns of a benchmark
    "simple_cnn, batch 64 at 150x150": (lambda: simple_cnn(6, 150), pixels(64, 150), 31),
    "lenet_300_100, batch 64 at 28x28": (lambda: lenet_300_100(10, 28), pixels(64, 28), 601),
}


def stepper(
    net: nn.Module,
    images: Tensor,
    density: float = 1.0,
    sparse: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    forward: Callable[[Tensor], Tensor] | None = None,
) -> Callable[[], None]:
    """One training step of Adam.

    Args:
        density: below 1, gradients have masks of this density, as in rounds on images.
        sparse: as ``optim.sparse``.
        forward: if not the network's own.
    """
    optimizer = optimizer or build_optimizer(Optim(sparse=sparse), parameters(net))
    batch = [(images, torch.randint(0, 6, (len(images),)))]
    if density < 1:
        params = [p for n, p in net.named_parameters() if n in set(M.prunable(net))]
        pruned = [(p, torch.empty_like(p.data).copy_(torch.rand_like(p) < density)) for p in params]
        M.multiply_(pruned)
        if sparse:
            optimizer.keep(pruned)
            pruned = [(p, m) for p, m in pruned if p not in optimizer.places]
        optimizer.register_step_pre_hook(lambda *_: M.multiply_([(p.grad, m) for p, m in pruned]))
    return lambda: train(forward or net, optimizer, batch)


def masked() -> None:
    """Masked step / dense step; processor time, on one thread."""
    from torchvision.models import resnet18

    torch.set_num_threads(1)
    networks = NETWORKS | {"resnet18, batch 32 at 150x150": (lambda: resnet18(num_classes=6), pixels(32, 150), 15)}
    for name, (make, images, runs) in networks.items():
        nets = [make() for _ in range(3)]
        for module in list(nets[2].modules()):
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                prune.random_unstructured(module, "weight", 0.5)
        nets = [net.to(memory_format=torch.channels_last) for net in nets]
        steps = {
            "dense": stepper(nets[0], images),
            "masked": stepper(nets[1], images, density=0.5),
            "torch.nn.utils.prune, torch's Adam": stepper(nets[2], images, optimizer=torch.optim.Adam(nets[2].parameters())),
        }
        show(f"masked step, {name}, n = {runs}", medians(steps, runs, clock=time.process_time), "dense")


def survivors() -> None:
    """A step at 1% density with ``optim.sparse`` / masked step / dense step; processor time, on one thread."""
    torch.set_num_threads(1)
    kinds = {"dense": {}, "masked": {"density": 0.01}, "optim.sparse": {"density": 0.01, "sparse": True}}
    for name, (make, images, runs) in NETWORKS.items():
        steps = {kind: stepper(make().to(memory_format=torch.channels_last), images, **given) for kind, given in kinds.items()}
        show(f"step at 1% density, {name}, n = {runs}", medians(steps, runs, clock=time.process_time), "dense")


LEVERS = """
import sys, torch
from lth.models.small import simple_cnn
from tests.benchmarks.steps import stepper
from tests.benchmarks.timing import medians, pixels
allocator, channels_last, fused, dropout = (flag == "1" for flag in sys.argv[1:5])
if allocator:
    from lth.training import device
    device.prepare(deterministic=False)
net, form = simple_cnn(6, 150), torch.channels_last if channels_last else torch.contiguous_format
if not dropout:
    net.conv1[3] = net.conv2[3] = torch.nn.Dropout(0.2)
net = net.to(memory_format=form)
optimizer = torch.optim.Adam(net.parameters(), lr=0.001, fused=fused or None)
print(medians({"step": stepper(net, pixels(64, 150, form), optimizer=optimizer)}, runs=9)["step"])
"""


def levers() -> None:
    """What each CPU lever is worth on simple_cnn: all of them on, then each one off, in fresh processes, in turn."""

    def seconds(flags: str) -> float:
        return float(subprocess.run([sys.executable, "-c", LEVERS, *flags], check=True, capture_output=True, text=True).stdout)

    kinds = {
        "all on": "1111",
        "allocator off": "0111",
        "channels_last off": "1011",
        "fused off": "1101",
        "our dropout off": "1110",
        "all off": "0000",
    }
    runs = [{name: seconds(flags) for name, flags in kinds.items()} for _ in range(3)]
    middle = {name: sorted(run[name] for run in runs)[1] for name in kinds}
    show("levers, simple_cnn, batch 64 at 150x150, a dense step", middle, "all on")


def transfer_levers() -> None:
    """A dense step of the whole network, batch 16 at 150x150, under each lever; the first compiled step apart."""
    for name in ("resnet18", "densenet121", "efficientnet_lite0"):
        nets = [build(Config(model=Model(name)), 6).net for _ in range(4)]
        for net in (nets[0], *nets[2:]):
            net.to(memory_format=torch.channels_last)
        images = pixels(16, 150)
        steps = {
            "channels_last": stepper(nets[0], images),
            "contiguous": stepper(nets[1], images.contiguous()),
            "bf16-mixed": stepper(nets[2], images, forward=torch.autocast("cpu", torch.bfloat16)(nets[2])),
            "compiled": stepper(nets[3], images, forward=torch.compile(nets[3])),
        }
        begin = time.perf_counter()
        steps["compiled"]()
        first = time.perf_counter() - begin
        title = f"{name}, batch 16 at 150x150 (compiling took {first:.0f} s)"
        show(title, medians(steps, runs=5, warm=1), "channels_last")


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
