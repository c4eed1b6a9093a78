"""Torchvision's classification networks: stock modules, stock keys, a head of ours."""

from torch import nn
from torchvision import models as torchvision_models

from lth.config import Optim
from lth.errors import UsageError
from lth.models.classifier import Classifier
from lth.models.transfer import put_head


def network(name: str, classes: int, head: str = "mlp") -> tuple[nn.Module, str]:
    """The torchvision network ``name`` with random weights and a head for ``classes``; and the head's name.

    Raises UsageError where torchvision has no such classification network, or it needs more than one output.
    """
    accepted = torchvision_models.list_models(module=torchvision_models)
    if name not in accepted or name in ("googlenet", "inception_v3"):
        raise UsageError(f"model.name={name} is not accepted: it takes one of {', '.join(sorted(set(accepted)))}.")
    net = torchvision_models.get_model(name, weights=None)
    return net, put_head(net, classes, head)


class Zoo(Classifier):
    """Any of them as a LightningModule; images are normalised as ImageNet was."""

    def __init__(self, name: str, optim: Optim, classes: int, head: str, finetune: str, frozen_bn: str) -> None:
        net, self.head_name = network(name, classes, head)
        super().__init__(net, optim, classes, finetune, frozen_bn)
