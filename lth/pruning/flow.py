"""Which kept weights matter at all: those on some path of kept weights from the input to the output."""

import copy

import torch
from torch import nn

from lth.errors import LthError, notice_once
from lth.pruning import twin
from lth.pruning.masks import Masks, dense, density, kept, size
from lth.pruning.paths import Paths


class UnknownPathsError(LthError):
    """A network whose paths cannot be followed, so that no number is given."""


def on_path(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    """The kept weights that lie on some path from input to output; ``masks`` minus the rest.

    A path goes from unit to unit (channels of a convolution, features of a linear layer), as in the effective sparsity of
    Vysogorets & Kempe 2023, and through attention by its queries and keys as well as by its values. A copy of the network gets
    its masks as weights, no biases and an input of ones, and passes on, as ``Paths``, whether there is a signal; so a
    weight's gradient is positive exactly if a path runs through it.

    Args:
        network: left as it is.
        input_shape: (channels, height, width) of one input.

    Raises:
        UnknownPathsError: the network has functions that cannot be followed: it cannot be run on ones, or weights of the
            dense network are found to be on no path.
        ValueError: a mask fits no parameter.
    """
    whole = dense(masks)
    reached = _reached(network, whole, input_shape)
    if lost := [name for name, mask in reached.items() if not mask.all()]:
        count, few = size(whole) - kept(reached), f"{', '.join(lost[:3])}{' and others' * (len(lost) > 3)}"
        raise UnknownPathsError(
            f"the effective density of {type(network).__name__} is not known: no path from input to output is found through "
            f"{count} weights of the dense network, in {few}."
        )
    return reached if kept(masks) == size(masks) else _reached(network, masks, input_shape)


@torch.enable_grad()
def _reached(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    ones = copy.deepcopy(network).cpu().float().eval()
    for t in [*ones.parameters(), *ones.buffers()]:
        if t.is_floating_point():
            t.data = torch.ones_like(t)
    weights = list(twin.masked(ones, masks).values())
    try:
        with Paths(ones):
            out = twin.forward(ones, torch.ones(1, *input_shape, requires_grad=True))
        grads = torch.autograd.grad(out.sum(), weights, materialize_grads=True)
    except Exception as error:  # whatever a network of somebody's own does
        sentence = " ".join(str(error).split())
        raise UnknownPathsError(
            f"the effective density of {type(network).__name__} is not known: its paths cannot be followed, "
            f"{type(error).__name__}: {sentence}"
        ) from error
    return {name: mask & (grad > 0) for (name, mask), grad in zip(masks.items(), grads)}


def effective_density(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> float | None:
    """Return the density over weights on some path from input to output; None, with a warning, where paths are not known."""
    try:
        return density(on_path(network, masks, input_shape))
    except UnknownPathsError as error:
        notice_once(str(error))
        return None
