"""Copies of a network to compute scores and paths on, so that the network itself is left as it is."""

import torch
from torch import Tensor, nn

from lth.pruning.masks import Masks


def forward(network: nn.Module, images: Tensor) -> Tensor:
    """Return ``network(images)``, on the network's device; torch's random state is left as it is."""
    device = next(network.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        return network(images.to(device))


def mask_(network: nn.Module, masks: Masks) -> dict[str, Tensor]:
    """Set the pruned weights of ``network`` to zero in place; return those with a mask, which alone require gradients.

    Raises ValueError where a mask fits no parameter.
    """
    params = dict(network.requires_grad_(False).named_parameters())
    for name, mask in masks.items():
        if name not in params or params[name].shape != mask.shape:
            raise ValueError(f"the network has no parameter {name} of shape {tuple(mask.shape)}, as the masks have.")
        keep = mask.to(params[name].device)
        params[name].data.copy_(torch.where(keep, params[name].data, 0))
        params[name].requires_grad_(True)
    return {name: params[name] for name in masks}
