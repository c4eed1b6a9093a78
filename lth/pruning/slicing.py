"""Take channels out of a network: smaller convolutions, linear layers and BatchNorms in place of the old ones."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lth.pruning.channels import Group, Keep

CONV = nn.modules.conv._ConvNd
BATCHNORM = nn.modules.batchnorm._BatchNorm


def depthwise(module: nn.Module) -> bool:
    """Return whether a module is a depthwise convolution, which writes and reads a channel at one place."""
    return isinstance(module, CONV) and module.groups == module.in_channels == module.out_channels > 1


def take(net: nn.Module, groups: Sequence[Group], keep: Keep) -> nn.Module:
    """Return the network, changed in place, without the channels that are not kept."""
    modules = dict(net.named_modules())
    places: dict[tuple[str, str], Tensor] = {}
    for group, one in zip(groups, keep, strict=True):
        for part in group.slices:
            left = group.spread(part, one, True)
            places[part.module, part.side] = places.get((part.module, part.side), torch.ones_like(left)) & left
    for name in {name for name, _ in places}:
        _slice_(modules[name], places.get((name, "out")), places.get((name, "in")))
    return net


def places(net: nn.Module, groups: Sequence[Group], keep: Keep) -> dict[str, Tensor]:
    """Return where ``take`` takes each value of a state_dict from: flat positions in the full tensor, int64 (smaller shape)."""
    numbered = copy.deepcopy(net).cpu().double()  # exact up to 2**53
    for tensor in numbered.state_dict().values():
        if isinstance(tensor, Tensor):
            tensor.copy_(torch.arange(tensor.numel()).view(tensor.shape))
    taken = take(numbered, groups, keep).state_dict()
    return {name: tensor.long() for name, tensor in taken.items() if isinstance(tensor, Tensor)}


def _slice_(module: nn.Module, out: Tensor | None, read: Tensor | None) -> None:
    """Take the outputs and inputs that are marked; None: all of them."""
    everything = slice(None)
    if isinstance(module, BATCHNORM):
        for name, t in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            if t.ndim:
                setattr(module, name, nn.Parameter(t[out], t.requires_grad) if isinstance(t, nn.Parameter) else t[out])
        module.num_features = int(out.sum())
        return
    is_conv, rows = isinstance(module, CONV), everything if out is None else out
    if depthwise(module):
        module.groups = module.in_channels = int(out.sum())
    elif read is not None:
        setattr(module, "in_channels" if is_conv else "in_features", int(read.sum()))
        # A grouped convolution loses the same offsets in each of its groups.
        read = read.view(getattr(module, "groups", 1), -1)[0]
    weight = module.weight[rows][:, everything if read is None else read].contiguous()
    setattr(module, "out_channels" if is_conv else "out_features", len(weight))
    module.weight = nn.Parameter(weight, module.weight.requires_grad)
    if module.bias is not None:
        module.bias = nn.Parameter(module.bias[rows], module.bias.requires_grad)
