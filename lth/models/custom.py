"""A network from the user's code: ``model=custom model.target=my_nets:make``."""

import pkgutil
import sys
from pathlib import Path

import torch
from torch import nn

from lth.errors import UsageError
from lth.models.blocks import blocks


def network(target: str, classes: int, channels: int, image_size: int) -> tuple[nn.Module, str]:
    """Return the network that the function ``target`` makes, in training mode, and the name of its head, the last block.

    Args:
        target: ``module:function``, the module on the Python path or in the working folder. The function is called as
            ``make(classes=6, channels=3, image_size=150)`` and returns an ``nn.Module``: images (n, channels, image_size,
            image_size) -> logits (n, classes). It is reproducible where it draws from torch's generator.

    Raises:
        UsageError: there is no such function, or it does not return such a network.
    """
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        net = pkgutil.resolve_name(target)(classes=classes, channels=channels, image_size=image_size).eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            shape = tuple(net(torch.zeros(1, channels, image_size, image_size)).shape)
        if shape != (1, classes):
            raise ValueError(f"one image gives {shape} in place of (1, {classes})")
        head = list(blocks(net).values())[-1]
        if not isinstance([m for m in head.modules() if list(m.parameters(recurse=False))][-1], nn.Linear):
            raise ValueError("the last child that has parameters is the head, and it has to end in a Linear")
    except Exception as error:  # code of others raises anything
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise UsageError(
            f"model.target={target} is not accepted: it takes a function of classes, channels and image_size that returns a "
            f"torch.nn.Module, images -> logits, and with {classes}, {channels} and {image_size} there was "
            f"{type(error).__name__}: {reason}."
        ) from error
    return net.train(), next(name for name, module in net.named_modules() if module is head)
