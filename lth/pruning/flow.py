"""Which kept weights matter at all: those on some path of kept weights from the input to the output."""

import torch
from torch import nn

from lth.pruning import twin
from lth.pruning.masks import Masks


@torch.enable_grad()
def on_path(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    """The kept weights that lie on some path from input to output; ``masks`` minus the rest.

    A copy of the network gets its masks as weights (1 or 0), no biases and an input of ones; after each layer the
    signal is set back to 0 or 1. Nothing can cancel, so a weight's gradient is positive exactly if a path runs
    through it: the flow of SynFlow (Tanaka et al. 2020) without its magnitudes.

    Args:
        network: any module of convolutions, linear layers, pooling, sums and concatenations; left as it is.
        input_shape: (channels, height, width) of one input.
    """
    ones = twin.positive(network, scales=False)
    for module in ones.modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            module.weight.data.fill_(1)
            module.register_forward_hook(lambda module, args, output: output / output.detach().clamp(min=1))
    weights = list(twin.masked(ones, masks).values())
    reached = twin.forward(ones, torch.ones(1, *input_shape, dtype=torch.float64)).sum()
    grads = torch.autograd.grad(reached, weights, materialize_grads=True)
    return {name: mask & (grad > 0) for (name, mask), grad in zip(masks.items(), grads)}
