"""From the configuration to a network with its weights."""

import pkgutil
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from lth.config import Config, Data, Model
from lth.errors import UsageError
from lth.models import blocks, efficientnet_lite0, libraries, small, weights


@dataclass(frozen=True)
class Network:
    """A plain network, images (n, channels, h, w) -> logits (n, classes), with what others need to know."""

    net: nn.Module  # its state_dict keys are those of every file that lth writes
    head: str = "head"  # name of the submodule that gives the logits
    normalize: str = "imagenet"  # of the images that it was made for, a name in lth.data.augment.NORMALIZE
    bodies: Collection[str] = blocks.BODIES  # whose children are blocks
    frozen: tuple[nn.Module, ...] = ()  # the blocks that stay in eval mode


# By model.name: of the number of classes, config.data and config.model; other names are those of a library.
NETWORKS: dict[str, Callable[[int, Data, Model], Network]] = {
    "simple_cnn": lambda n, data, model: Network(small.simple_cnn(n, data.image_size, data.channels, model.dropout)),
    "lenet_300_100": lambda n, data, model: Network(small.lenet_300_100(n, data.image_size, data.channels)),
    "conv2": lambda n, data, model: Network(small.conv(2, n, data.image_size, data.channels)),
    "conv4": lambda n, data, model: Network(small.conv(4, n, data.image_size, data.channels)),
    "conv6": lambda n, data, model: Network(small.conv(6, n, data.image_size, data.channels)),
    "resnet20": lambda n, data, model: Network(small.resnet20(n, data.channels, model.width)),
    "efficientnet_lite0": lambda n, data, model: Network(efficientnet_lite0.network(n, model.head), "_fc", "half"),
    "custom": lambda n, data, model: _custom(model.target, n, data.channels, data.image_size),
}


def build(config: Config, classes: int, weights_file: Path | None = None) -> Network:
    """Return the network of ``config.model``, initialised from torch's generator, then from ``weights_file``.

    It is in training mode; frozen blocks are in eval mode, unless ``model.frozen_bn=train``.

    Raises:
        UsageError: there is no such network or block.
        DataError: the weights do not fit.
    """
    network = NETWORKS.get(config.model.name, _of_library)(classes, config.data, config.model)
    frozen = blocks.train_only(network.net, config.finetune, network.head, network.bodies)
    if weights_file is not None:
        weights.load(network.net, weights_file, network.head, fresh=config.model.weights_missing == "fresh")
    if config.model.frozen_bn == "train":
        return network
    for block in frozen:
        block.eval()
    return replace(network, frozen=frozen)


def check(config: Config, weights_file: Path | None = None) -> None:
    """Raise the errors of ``build``, without draws; only a network that cannot do without, as a custom one, gets memory."""
    try:
        _check(config, weights_file, "cpu" if config.model.name == "custom" else "meta")
    except NotImplementedError:  # it reads tensors while it is built, as RegNet does
        _check(config, weights_file, "cpu")


def _check(config: Config, weights_file: Path | None, device: str) -> None:
    with torch.random.fork_rng(devices=[]), torch.device(device):
        network = build(config, 2, weights_file)
        if config.model.name not in NETWORKS:
            libraries.require_runs(network.net.to(device), 2, config.data, config.model)


def _of_library(classes: int, data: Data, model: Model) -> Network:
    return Network(*libraries.build(classes, data, model), blocks.LIBRARY_BODIES)


def _custom(target: str, classes: int, channels: int, image_size: int) -> Network:
    """Return the network that ``target`` makes, a function of a module on the path or in the working folder.

    Its head is the last block.
    """
    size = {"classes": classes, "channels": channels, "image_size": image_size}
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)
    try:
        net = pkgutil.resolve_name(target)(**size).eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            shape = tuple(net(torch.zeros(1, channels, image_size, image_size)).shape)
        if shape != (1, classes):
            raise ValueError(f"one image gives {shape} in place of (1, {classes})")
        head = list(blocks.blocks(net).values())[-1]
        if not isinstance([m for m in head.modules() if list(m.parameters(recurse=False))][-1], nn.Linear):
            raise ValueError("the last child with parameters is the head, and has to end in a Linear")
    except Exception as error:  # code of others raises anything
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise UsageError(
            f"model.target={target} is not accepted: it takes a function that returns an nn.Module, images -> "
            f"logits, and with {size} there was {type(error).__name__}: {reason}."
        ) from error
    return Network(net.train(), next(name for name, module in net.named_modules() if module is head))
