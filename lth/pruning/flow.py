"""Which kept weights matter at all: those on some path of kept weights from the input to the output."""

import copy

import torch
from torch import Tensor, nn

from lth.pruning.masks import Masks

# Modules that could block or reverse a positive signal; for counting paths they pass it on.
TRANSPARENT = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.modules.dropout._DropoutNd,
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh,
    nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus,
)  # fmt: skip


def on_path(network: nn.Module, masks: Masks, input_shape: tuple[int, ...]) -> Masks:
    """The kept weights that lie on some path from input to output; ``masks`` minus the rest.

    A copy of the network gets its masks as weights (1 or 0), no biases and an input of ones; after each layer the
    signal is set back to 0 or 1. Nothing can cancel, so a weight's gradient is positive exactly if a path runs
    through it: the flow of SynFlow (Tanaka et al. 2020) without its magnitudes.

    Args:
        network: any module of convolutions, linear layers, pooling, sums and concatenations; left as it is.
        input_shape: (channels, height, width) of one input.
    """
    twin = copy.deepcopy(network).cpu().double().eval()
    weights = dict(twin.named_parameters())
    for module in twin.modules():
        if isinstance(module, TRANSPARENT):
            module.register_forward_hook(lambda module, args, output: args[0])
        elif isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            module.weight.data.fill_(1)
            if module.bias is not None:
                module.bias.data.zero_()
            module.register_forward_hook(lambda module, args, output: output / output.detach().clamp(min=1))
    for name, mask in masks.items():
        weights[name].data.copy_(mask)
        weights[name].requires_grad_(True)
    with torch.enable_grad():
        twin(torch.ones(1, *input_shape, dtype=torch.float64)).sum().backward()
    return {name: mask & _positive(weights[name].grad, mask) for name, mask in masks.items()}


def _positive(grad: Tensor | None, mask: Tensor) -> Tensor:
    return torch.zeros_like(mask) if grad is None else grad > 0
