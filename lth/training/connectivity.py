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
from lth.models.classifier import Classifier

STEPS = 11  # points on the line, both ends included
State = dict[str, Tensor]


def line(model: Classifier, data: ImageData, one: State, other: State) -> dict[str, Any]:
    """Test errors at evenly spaced points from ``one`` to ``other``, and the barrier between them.

    At each point BatchNorm's running statistics are estimated anew from the training images, where they are trained at all.
    The network is left at ``other``.

    Returns ``alphas`` (STEPS fractions), ``errors`` (fractions of the test images), ``barrier``: by how much the largest
    error exceeds the mean of both ends (at least 0).
    """
    alphas = np.linspace(0, 1, STEPS).tolist()
    errors = []
    for alpha in alphas:
        model.net.load_state_dict(between(one, other, alpha))
        estimate(model, data)
        errors.append(error(model, data))
    model.net.load_state_dict(other)
    return {"alphas": alphas, "errors": errors, "barrier": barrier(errors)}


def barrier(errors: list[float]) -> float:
    """By how much the largest error on the line exceeds the mean of both ends."""
    return max(errors) - (errors[0] + errors[-1]) / 2


def between(one: State, other: State, alpha: float) -> State:
    """(1 - alpha) one + alpha other, of all floating tensors; counters are ``other``'s."""
    return {n: torch.lerp(one[n], t, alpha) if t.is_floating_point() else t for n, t in other.items()}


@torch.no_grad()
def estimate(model: Classifier, data: ImageData) -> None:
    """Set the running statistics of all BatchNorms that are trained to their averages over the training images."""
    model.train()
    norms = [m for m in model.net.modules() if isinstance(m, nn.modules.batchnorm._NormBase) and m.training]
    if not norms:
        return
    for module in model.net.modules():
        if not isinstance(module, nn.modules.batchnorm._NormBase):
            module.training = False  # not eval(), which would reach the norms inside
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over batches
    for images, _ in _batches(model, data, data.splits.train_images, data.splits.train, data.batch_size):
        model.net(images)
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum


@torch.no_grad()
def error(model: Classifier, data: ImageData) -> float:
    """The fraction of the test images that the network classifies wrongly."""
    model.eval()
    wrong = 0
    for images, labels in _batches(model, data, data.splits.test_images, data.splits.test, 4 * data.batch_size):
        wrong += int((model.net(images).argmax(1).cpu() != labels).sum())
    return wrong / len(data.splits.test)


def _batches(model: Classifier, data: ImageData, images: Any, subset: np.ndarray, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    device = next(model.parameters()).device
    for k in range(0, len(subset), size):
        chosen = subset[k : k + size]
        pixels = torch.from_numpy(images.take(chosen)).to(device)
        yield data.to_float(pixels), torch.from_numpy(images.labels[chosen])
