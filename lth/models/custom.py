"""A network from the user's code: ``model=custom model.target=my_nets:make``."""

import importlib
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from lth.errors import UsageError
from lth.models.blocks import blocks, evaluating


def network(target: str, classes: int, channels: int, image_size: int) -> tuple[nn.Module, str]:
    """Return the network that the function ``target`` makes, in training mode, and the name of its head.

    The head is the last block, which has to end in a Linear. The network is reproducible where it draws from torch's generator.

    Args:
        target: ``module:function``, the module on the Python path or in the working folder. The function is called as
            ``make(classes=6, channels=3, image_size=150)`` and returns an ``nn.Module``: images (n, channels, image_size,
            image_size) -> logits (n, classes).

    Raises:
        UsageError: there is no such function, or it does not return such a network.
    """
    module, _, function = target.partition(":")
    shape = (1, channels, image_size, image_size)
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    step = "its import"
    try:
        make = getattr(importlib.import_module(module), function)
        step = f"{function}(classes={classes}, channels={channels}, image_size={image_size})"
        net = make(classes=classes, channels=channels, image_size=image_size)
        if not isinstance(net, nn.Module):
            raise _refusal(target, f"{step} returned a {type(net).__name__}, where a torch.nn.Module is needed")
        step = f"its network, with images of shape {shape},"
        logits = _evaluate(net.train(), torch.zeros(shape))
    except UsageError:
        raise
    except Exception as error:  # code of others raises anything
        message = (str(error).splitlines() or [""])[0].rstrip(".")
        raise _refusal(target, f"{step} raised {type(error).__name__}: {message}") from error
    returned = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if returned != (1, classes):
        raise _refusal(target, f"{step} returned {returned}, where {(1, classes)} is needed")
    return net, _head(target, net)


def _evaluate(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad(), evaluating(net), torch.random.fork_rng(devices=[]):
        return net(images)


def _head(target: str, net: nn.Module) -> str:
    head = next(reversed(blocks(net).values()), nn.Identity())
    layers = [module for module in head.modules() if any(True for _ in module.parameters(recurse=False))]
    if not layers or not isinstance(layers[-1], nn.Linear):
        raise _refusal(target, "the last child of its network that has parameters is the head and has to end in a Linear")
    return next(name for name, module in net.named_modules() if module is head)


def _refusal(target: str, reason: str) -> UsageError:
    return UsageError(f"model.target={target} is not accepted: {reason}.")
