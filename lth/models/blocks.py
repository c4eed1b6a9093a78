"""A network's blocks: their names, which of them train, and that frozen ones stay as they are."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from lth.errors import UsageError

BODIES = ("features", "_blocks")  # containers that are looked into: torchvision's and EfficientNet's


def blocks(net: nn.Module) -> dict[str, nn.Module]:
    """The network's blocks that have parameters, by name, from input to output; the last one is the head.

    Numbered parts of a body are named ``features.3``, named ones by their own name, ``denseblock3``.
    """
    found: dict[str, nn.Module] = {}
    for name, child in net.named_children():
        if name in BODIES:
            found |= {f"{name}.{part}" if part.isdigit() else part: block for part, block in child.named_children()}
        else:
            found[name] = child
    return {name.strip("_"): block for name, block in found.items() if any(True for _ in block.parameters())}


def train_only(net: nn.Module, finetune: str, head_name: str) -> list[nn.Module]:
    """Freeze what ``finetune`` does not name; returns the blocks that are frozen as a whole.

    Args:
        finetune: ``all``; ``head``; or names of blocks joined by ``+``, with which the head is trained too.
        head_name: of the module that is the head: the last block, or the part of it that gives the logits (VGG's
            ``classifier.6``).

    Raises:
        UsageError: a name is no block of this network.
    """
    if finetune == "all":
        return []
    there = blocks(net)
    *_, last = there
    chosen = set() if finetune == "head" else set(finetune.split("+"))
    unknown = sorted(chosen - set(there))
    if unknown:
        accepted = ", ".join(dict.fromkeys(["all", "head", *there]))
        raise UsageError(f"finetune={finetune} is not accepted: {unknown[0]} is no block; it takes {accepted}, joined by '+'.")
    net.requires_grad_(False)  # whatever is in no block, such as a class token, is frozen too
    for name in chosen:
        there[name].requires_grad_(True)
    net.get_submodule(head_name).requires_grad_(True)
    return [block for name, block in there.items() if name not in chosen | {last}]


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """``net`` in eval mode for a while; then each of its modules is in the mode that it was in."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
