"""Linear mode connectivity: the error along the straight line between two copies of a network.

Frankle, Dziugaite, Roy & Carbin 2020 (arXiv 1912.05671), section 2: two copies trained from one start that see the images
in different orders lie in one linearly connected basin where the error barrier between them is about zero.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lth.data.module import ImageData

STEPS = 11  # places on the line, both ends included
NORMS = nn.modules.batchnorm._NormBase
State = dict[str, Tensor]


@torch.no_grad()
def line(net: nn.Module, data: ImageData, one: State, other: State) -> dict[str, Any]:
    """Return test errors at evenly spaced places from ``one`` to ``other``, and the barrier between them.

    At each place BatchNorm's running statistics are estimated anew from the training images, where they are trained at all.
    The network is left at ``other``.

    Args:
        net: on the device that is to compute; trained blocks in train mode, frozen ones in their mode.

    Returns:
        ``alphas`` (STEPS fractions), ``errors`` (fractions of the test images) and ``barrier``, by which the largest error
        exceeds the mean of both ends.
    """
    splits, alphas, errors = data.splits, np.linspace(0, 1, STEPS).tolist(), []
    norms = [module for module in net.modules() if isinstance(module, NORMS) and module.training]
    for alpha in alphas:
        # Counters are ``other``'s.
        net.load_state_dict({n: torch.lerp(one[n], t, alpha) if t.is_floating_point() else t for n, t in other.items()})
        net.eval()
        if norms:
            _estimate(net, norms, data)
        wrong = 0
        for images, labels in _batches(net, data, splits.test_images, splits.test, 4 * data.batch_size):
            wrong += int((net(images).argmax(1).cpu() != labels).sum())
        errors.append(wrong / len(splits.test))
    net.load_state_dict(other)
    return {"alphas": alphas, "errors": errors, "barrier": max(errors) - (errors[0] + errors[-1]) / 2}


def _estimate(net: nn.Module, norms: list[nn.Module], data: ImageData) -> None:
    """Set the running statistics of ``norms`` to their averages over the training images; the network is in eval mode."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.training, norm.momentum = True, None  # a plain average over batches
        norm.reset_running_stats()
    for images, _ in _batches(net, data, data.splits.train_images, data.splits.train, data.batch_size):
        net(images)
    for norm, momentum in zip(norms, momenta):
        norm.training, norm.momentum = False, momentum


def _batches(net: nn.Module, data: ImageData, images: Any, subset: np.ndarray, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    device = next(net.parameters()).device
    for k in range(0, len(subset), size):
        chosen = subset[k : k + size]
        pixels = torch.from_numpy(images.take(chosen)).to(device)
        yield data.to_float(pixels), torch.from_numpy(images.labels[chosen])
