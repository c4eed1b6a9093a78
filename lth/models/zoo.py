"""Torchvision's classification networks: stock modules, stock keys, a new head."""

from torch import nn
from torchvision import models as torchvision_models

from lth.errors import UsageError


def network(name: str, classes: int, kind: str = "mlp") -> tuple[nn.Module, str]:
    """Return torchvision's network ``name`` with random weights and a head of ``kind``, and the name of the head.

    Raises UsageError where torchvision has no such classification network, or it has several outputs or no linear classifier.
    """
    accepted = torchvision_models.list_models(module=torchvision_models)
    if name not in accepted or name in ("googlenet", "inception_v3"):
        raise UsageError(f"model.name={name} is not accepted: it takes one of {', '.join(sorted(set(accepted)))}.")
    net = torchvision_models.get_model(name, weights=None)
    linear = [(path, module) for path, module in net.named_modules() if isinstance(module, nn.Linear)]
    if not linear:
        raise UsageError(f"model.name={name} is not accepted: it has no linear classifier to replace.")
    path, last = linear[-1]
    net.set_submodule(path, head(last.in_features, classes, kind))
    return net, path


def head(features: int, classes: int, kind: str) -> nn.Module:
    """Return a head: ``linear``, features -> classes; or the previous study's ``mlp``, features -> features / 2 -> classes."""
    if kind == "linear":
        return nn.Linear(features, classes)
    return nn.Sequential(nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, classes))
