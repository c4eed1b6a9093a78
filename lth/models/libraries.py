"""Networks of torchvision and timm, with a new head in place of their last Linear, built for the size of the images."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torchvision import models as zoo

from lth.config import NORMALIZE, Data, Model, require
from lth.errors import UsageError, require_package
from lth.models import blocks

Made = tuple[nn.Module, str, str]  # the network, the name of its head, the name of the normalisation that it was made for
WITHOUT = {"googlenet", "inception_v3"}  # their forward returns more than logits


def build(classes: int, data: Data, model: Model) -> Made:
    """Return the network of ``model.library`` that ``model.name`` names, initialised from torch's generator.

    Raises UsageError where there is none, or none for images of this size, or timm is not installed.
    """
    net, head, normalize = _timm(classes, data, model) if model.library == "timm" else _torchvision(data, model)
    require(head, "model.name", model.name, "a network with a linear classifier to replace")
    net.set_submodule(head, blocks.head(net.get_submodule(head).in_features, classes, model.head))
    return net, head, normalize


def require_runs(net: nn.Module, classes: int, data: Data, model: Model) -> None:
    """Raise UsageError where ``net`` does not run on images of ``data.image_size``, or gives anything but logits."""
    with _fitting(data, model), torch.no_grad(), blocks.evaluating(net):
        shape = tuple(net(torch.zeros(1, data.channels, data.image_size, data.image_size)).shape)
    require(shape == (1, classes), "model.name", model.name, f"a network that classifies; one image gives {shape}")


def timm_config(name: str) -> Any:
    """Return what timm knows of a network. Raises UsageError where it has none of this name, or timm is not installed."""
    require_package("timm", "model=timm", "timm")
    import timm

    known = timm.is_model(name) and ("." not in name or name in timm.list_pretrained())
    close = ", ".join(difflib.get_close_matches(name, timm.list_models() + timm.list_pretrained(), 5, 0))
    require(known, "model.name", name, f"a network of timm, such as {close}; timm.list_models() has all")
    return timm.get_pretrained_cfg(name)


def _torchvision(data: Data, model: Model) -> tuple[nn.Module, str | None, str]:
    accepted = sorted(set(zoo.list_models(module=zoo)) - WITHOUT)
    require(model.name in accepted, "model.name", model.name, f"one of {', '.join(accepted)}")
    size, options = data.image_size, {}
    if model.name.startswith("vit_"):
        options = {"image_size": size}
    elif model.name.startswith("maxvit_"):
        options = {"input_size": (size, size)}
    with _fitting(data, model):
        net = zoo.get_model(model.name, weights=None, **options)
    linear = [name for name, module in net.named_modules() if isinstance(module, nn.Linear)]
    return net, linear[-1] if linear else None, "imagenet"


def _timm(classes: int, data: Data, model: Model) -> tuple[nn.Module, str | None, str]:
    name, cfg = model.name, timm_config(model.name)
    from timm import create_model

    size = {"img_size": data.image_size} if cfg.fixed_input_size else {}
    with _fitting(data, model):
        net = create_model(name, num_classes=classes, in_chans=data.channels, **size)
    classifier = net.pretrained_cfg.get("classifier")
    linear = isinstance(classifier, str) and isinstance(net.get_submodule(classifier), nn.Linear)
    named = [key for key, (mean, std) in NORMALIZE.items() if mean == list(cfg.mean) and std == list(cfg.std)]
    if not named and data.normalize == "auto":
        accepted = f"one of {', '.join(NORMALIZE)} with model.name={name}, which was made for mean {cfg.mean} and std {cfg.std}"
        require(False, "data.normalize", "auto", accepted)
    return net, classifier if linear else None, named[0] if named else data.normalize


@contextmanager
def _fitting(data: Data, model: Model) -> Iterator[None]:
    """Raise UsageError in place of what a network raises where it does not take images of this size."""
    try:
        yield
    except NotImplementedError:  # of tensors without memory, not of the size
        raise
    except Exception as error:  # networks raise many kinds
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise UsageError(
            f"data.image_size={data.image_size} is not accepted: it takes a size that model.name={model.name} can be built and "
            f"run for, and there was {type(error).__name__}: {reason}."
        ) from error
