"""Median times of several functions, run in turn so that a drifting machine drifts for all of them."""

import time
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lth.export import latency

HEAD = "| what | against | ratio | seconds | n |\n|---|---|---:|---:|---:|"


class Medians(dict[str, float]):
    """Seconds by name, of ``n`` runs each."""

    n: int | str = ""


def medians(
    functions: dict[str, Callable[[], object]], runs: int = 15, warm: int = 4, clock: Callable[[], float] = time.perf_counter
) -> Medians:
    """Seconds of each function: the median of ``runs`` turns A B C A B C ..., after ``warm`` that do not count."""
    found = Medians(latency.medians(functions, seconds=0, least=runs, warm=warm, clock=clock))
    found.n = runs
    return found


def show(title: str, found: dict[str, float], base: str, n: int | None = None) -> None:
    """Print a row of the table for each function, compared with ``base``, or for ``base`` if it is alone."""
    for name in [name for name in found if name != base] or [base]:
        seconds = f"{found[name]:.4g} / {found[base]:.4g}"
        row(f"{title}: {name}", base, found[name] / found[base], seconds, n or getattr(found, "n", ""))


def row(what: str, against: str, ratio: float, seconds: str, n: int | str) -> None:
    """Print a row of the table under ``HEAD``."""
    print(f"| {what} | {against} | {ratio:.3f} | {seconds} | {n} |", flush=True)


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
