"""What channels_last, bfloat16 and torch.compile are worth to the transfer networks on this processor."""

import time
from contextlib import nullcontext

import torch
import torch.nn.functional as F

from lth.config import Config, Model, Optim
from lth.models.build import build
from lth.models.classifier import build_optimizer
from lth.training import device
from tests.benchmarks.timing import medians, show

LEVERS = ("channels_last", "contiguous", "channels_last, bf16-mixed", "channels_last, compiled")


def stepper(name: str, lever: str):
    net = build(Config(model=Model(name)), 6).net
    images, labels = torch.randn(16, 3, 150, 150), torch.randint(0, 6, (16,))
    if "channels_last" in lever:
        net, images = net.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    optimizer = build_optimizer(Optim(), list(net.parameters()))
    forward = torch.compile(net) if "compiled" in lever else net
    kind = torch.autocast("cpu", torch.bfloat16) if "bf16" in lever else nullcontext()

    def step() -> None:
        optimizer.zero_grad()
        with kind:
            loss = F.cross_entropy(forward(images), labels)
        loss.backward()
        optimizer.step()

    return step


def transfer_levers() -> None:
    """A dense step of the whole network, batch 16 at 150x150, under each lever; the first compiled step apart."""
    device.prepare(deterministic=False)
    for name in ("resnet18", "densenet121", "efficientnet_lite0"):
        steps = {lever: stepper(name, lever) for lever in LEVERS}
        begin = time.perf_counter()
        steps["channels_last, compiled"]()
        first = time.perf_counter() - begin
        show(f"{name}, batch 16 at 150x150 (compiling took {first:.0f} s)", medians(steps, runs=5, warm=1), LEVERS[0])
