"""Copies of a network to compute scores on, so that the network itself is left as it is."""

import copy

import torch
from torch import Tensor, nn

from lth.pruning.masks import Masks

# Modules that could block, bend or reverse a positive signal; a positive twin passes it on.
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
NONLINEAR = (
    nn.modules.dropout._DropoutNd, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU,
    nn.Mish, nn.Tanh, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Softplus,
)  # fmt: skip


def forward(network: nn.Module, images: Tensor) -> Tensor:
    """``network(images)``, on the network's device, with torch's random state as it was afterwards."""
    device = next(network.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        return network(images.to(device))


def masked(network: nn.Module, masks: Masks) -> dict[str, Tensor]:
    """The weights of ``network`` that ``masks`` name, set to zero in place where pruned; they alone require gradients.

    Raises ValueError where a mask fits no parameter.
    """
    params = dict(network.requires_grad_(False).named_parameters())
    for name, mask in masks.items():
        if name not in params or params[name].shape != mask.shape:
            raise ValueError(f"the network has no parameter {name} of shape {tuple(mask.shape)}, as the masks have")
        keep = mask.to(params[name].device)
        params[name].data.copy_(torch.where(keep, params[name].data, 0))
        params[name].requires_grad_(True)
    return {name: params[name] for name in masks}


def positive(network: nn.Module) -> nn.Module:
    """A copy in float64, on the CPU, in eval mode, in which a positive signal stays positive and nothing can cancel.

    Parameters become their absolute values, biases zero; norms and nonlinearities pass their input on, but for BatchNorm, which
    multiplies by |weight| / sqrt(running variance) and shifts nothing.

    Args:
        network: any module of convolutions, linear layers, pooling, sums and concatenations; left as it is.
    """
    twin = copy.deepcopy(network).cpu().double().eval()
    for name, p in twin.named_parameters():
        p.data = torch.zeros_like(p) if name.endswith("bias") else p.data.abs()
    for module in twin.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.zero_()
        elif isinstance(module, NORMS + NONLINEAR):
            # No forward hook: it would come after an in-place activation has changed its input.
            module.forward = _pass_on
    return twin


def _pass_on(x: Tensor) -> Tensor:
    return x
