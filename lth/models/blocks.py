"""Blocks of a network: their names, which of them train, a new head; evaluation mode for a while."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from lth.errors import UsageError

BODIES = ("features", "_blocks")  # containers whose children are the blocks: torchvision's and EfficientNet's
LIBRARY_BODIES = (*BODIES, "encoder", "layers", "blocks", "stages")  # in networks of torchvision and timm


def blocks(net: nn.Module, bodies: Collection[str] = BODIES) -> dict[str, nn.Module]:
    """Return the network's blocks, by name, from input to output; the last one is the head.

    They are its children with parameters, and in place of a child that is one of ``bodies`` its children: a numbered one is
    called ``features.3``, a named one ``denseblock3``. Where there is one child alone, the network wraps another one, whose
    blocks they are.
    """
    modules = _opened("", net, bodies)
    named = {name.strip("_"): block for name, block in modules.items() if any(True for _ in block.parameters())}
    if len(named) == 1:
        return blocks(*named.values(), bodies) or named
    return named


def _opened(name: str, module: nn.Module, bodies: Collection[str]) -> dict[str, nn.Module]:
    if name and name not in bodies:
        return {name: module}
    found: dict[str, nn.Module] = {}
    for part, child in module.named_children():
        found |= _opened(f"{name}.{part}" if name and part.isdigit() else part, child, bodies)
    return found or {name: module}


def train_only(net: nn.Module, finetune: str, head: str, bodies: Collection[str] = BODIES) -> tuple[nn.Module, ...]:
    """Freeze what ``finetune`` does not name, and return the blocks without any trained parameter.

    It may name blocks and children of the network, such as a body. The head, the last block or a part of it such as VGG's
    ``classifier.6``, is always trained. Raises UsageError.
    """
    if finetune == "all":
        return ()
    named = blocks(net, bodies)
    parts = dict(net.named_children()) | named
    chosen = set() if finetune == "head" else set(finetune.split("+"))
    if unknown := sorted(chosen - set(parts)):
        accepted = ", ".join(dict.fromkeys(["all", "head", *named]))
        raise UsageError(f"finetune={finetune} is not accepted: {unknown[0]} is no block; it takes {accepted}, joined by '+'.")
    net.requires_grad_(False)  # parameters outside all blocks, such as a class token, are frozen too
    for module in (net.get_submodule(head), *(parts[name] for name in chosen)):
        module.requires_grad_(True)
    return tuple(block for block in named.values() if not any(p.requires_grad for p in block.parameters()))


def head(features: int, classes: int, kind: str) -> nn.Module:
    """Return a head: ``linear``, or the previous study's ``mlp``, features -> features / 2 -> classes."""
    if kind == "linear":
        return nn.Linear(features, classes)
    return nn.Sequential(nn.Linear(features, features // 2), nn.ReLU(), nn.Linear(features // 2, classes))


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put ``net`` into eval mode for a while; afterwards each of its modules is in its former mode."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
