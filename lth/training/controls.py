"""Controls: a ticket changed in one named thing (Frankle & Carbin 2019, section 2 and appendix F).

``reinit``: the weights it starts from are drawn anew. ``shuffle``: each layer's mask is permuted. ``random``: each layer's
mask is drawn anew, with as many weights kept; a permutation drawn at random is the same in distribution, so the two are
two samples of one thing. ``order``: the images come in another order, with other dropout. ``dense``, the dense network
trained for as many epochs as the ticket's whole chain, changes no ticket: it is a round 0 of its own.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from lth.hashes import differing
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
            return Ticket(M.shuffled(ticket.masks, drawn), ticket.rewind)
        case "random":
            return Ticket(M.random_like(ticket.masks, drawn), ticket.rewind)
        case _:
            return ticket


def order_seed(control: str | None, seed: int) -> int:
    """What seeds the order of the images, augmentation and dropout."""
    return stream("other order", seed) if control == "order" else seed


def differs_in_one(control: str, ticket: Ticket, original: Ticket, trained: list[str], order: bool) -> dict[str, Any]:
    """The proof of a control: what it changes differs from the ticket, and all else is the same to the bit.

    Args:
        trained: names of the parameters that are trained, and of their layers' buffers; ``reinit`` changes no other tensor.
        order: whether the order of the images is another one.
    """
    layers = M.per_layer(ticket.masks) == M.per_layer(original.masks)
    masks = ticket.masks.keys() == original.masks.keys() and M.hash_masks(ticket.masks) == M.hash_masks(original.masks)
    moved = differing(ticket.rewind, original.rewind)
    # Layers that are dense, empty, or nearly so may be the same after a permutation.
    free = any(0 < int(m.sum()) < m.numel() and m.numel() > 64 for m in original.masks.values())
    expected = {
        "reinit": masks and bool(moved) and set(moved) <= set(trained) and not order,
        "shuffle": (not masks or not free) and not moved and not order,
        "random": (not masks or not free) and not moved and not order,
        "order": masks and not moved and order,
    }
    return {
        "holds": layers and expected[control], "control": control, "layers_as_dense": layers, "masks_differ": not masks,
        "weights_differ": len(moved), "order_differs": order,
    }  # fmt: skip
