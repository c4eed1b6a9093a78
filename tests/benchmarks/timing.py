"""Median times of several functions, run in turn so that a drifting machine drifts for all of them."""

import time
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lth.export import latency


def medians(
    functions: dict[str, Callable[[], object]], runs: int = 15, warm: int = 4, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Seconds of each function: the median of ``runs`` turns A B C A B C ..., after ``warm`` that do not count."""
    return latency.medians(functions, seconds=0, least=runs, warm=warm, clock=clock)


def show(title: str, found: dict[str, float], base: str) -> None:
    """One line a function: milliseconds, and the ratio to ``base``."""
    print(f"\n{title}")
    for name, seconds in found.items():
        print(f"  {name:44s} {1000 * seconds:10.2f} ms   {seconds / found[base]:6.3f}", flush=True)


def train(net: Callable[[Tensor], Tensor], optimizer: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Forward, backward and optimiser alone."""
    for images, labels in batches:
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()


def pixels(n: int, size: int, form: torch.memory_format = torch.channels_last) -> Tensor:
    return torch.randn(n, 3, size, size).contiguous(memory_format=form)


def parameters(net: nn.Module) -> list[nn.Parameter]:
    return [p for p in net.parameters() if p.requires_grad]
