"""Controls: a ticket changed in one named thing (Frankle & Carbin 2019, section 2 and appendix F).

``reinit``: the weights it starts from are drawn anew. ``shuffle``: each layer's mask is permuted. ``random``: each layer's
mask is drawn anew, with as many weights kept; a permutation drawn at random is the same in distribution, so the two are
two samples of one thing. ``order``: the images come in another order, with other dropout. ``dense``, the dense network
trained for as many epochs as the ticket's whole chain, changes no ticket: it is a round 0 of its own.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lth.pruning import masks as M
from lth.seeds import stream
from lth.tree.ticket import Ticket

State = dict[str, Tensor]
DRAWS = {"reinit": "reinit", "shuffle": "shuffle", "random": "random mask", "order": "other order"}  # streams


def changed(ticket: Ticket, control: str, seed: int, fresh: Callable[[int], State]) -> Ticket:
    """The ticket of a control.

    Args:
        seed: of the replicate.
        fresh: a function giving newly drawn values for all that is trained, for a seed.
    """
    drawn = stream(DRAWS[control], seed)
    match control:
        case "reinit":
            return Ticket(ticket.masks, ticket.rewind | fresh(drawn))
        case "shuffle":
            return Ticket(shuffled(ticket.masks, drawn), ticket.rewind)
        case "random":
            return Ticket(random(ticket.masks, drawn), ticket.rewind)
        case _:
            return ticket


def order_seed(control: str | None, seed: int) -> int:
    """What seeds the order of the images, augmentation and dropout."""
    return stream("other order", seed) if control == "order" else seed


def shuffled(masks: M.Masks, seed: int) -> M.Masks:
    """Each mask with its entries permuted within the layer."""
    generator = torch.Generator().manual_seed(seed)
    return {n: m.flatten()[torch.randperm(m.numel(), generator=generator)].view(m.shape) for n, m in masks.items()}


def random(masks: M.Masks, seed: int) -> M.Masks:
    """Masks that keep as many weights of each layer, chosen at random."""
    generator = torch.Generator().manual_seed(seed)
    scores = {n: torch.rand(m.shape, generator=generator) for n, m in masks.items()}
    everywhere = M.dense(masks)
    return M.keep_top(scores, everywhere, {n: M.kept({n: m}) for n, m in masks.items()})
