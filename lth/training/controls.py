"""Controls: a ticket changed in one named thing (Frankle & Carbin 2019, section 2 and appendix F).

``reinit``: the weights that it starts from are drawn anew. ``shuffle``: each layer's mask is permuted. ``random``: each
layer's mask is drawn anew, with as many weights; a random permutation is the same in distribution, so the two are two samples
of one thing. ``order``: the batches come in another order, with other dropout. ``dense``, the dense network trained for as
many epochs as the ticket's whole chain, changes no ticket: it is a round 0 of its own.
"""

from collections.abc import Callable

from torch import Tensor

from lth.pruning import masks as M
from lth.seeds import stream
from lth.tree.ticket import Ticket

STREAMS = {"reinit": "reinit", "shuffle": "shuffle", "random": "random mask", "order": "other order"}


def changed(ticket: Ticket, control: str, seed: int, redraw: Callable[[int], dict[str, Tensor]]) -> Ticket:
    """Return the ticket of a control.

    Args:
        seed: of the replicate.
        redraw: returns newly drawn values of all that is trained, for a seed.
    """
    drawn = stream(STREAMS[control], seed)
    match control:
        case "reinit":
            return Ticket(ticket.masks, ticket.rewind | redraw(drawn))
        case "shuffle":
            return Ticket(M.shuffled(ticket.masks, drawn), ticket.rewind)
        case "random":
            return Ticket(M.random_like(ticket.masks, drawn), ticket.rewind)
        case _:
            return ticket


def order_seed(control: str | None, seed: int) -> int:
    """Return what seeds the order of the batches, augmentation and dropout."""
    return stream(STREAMS["order"], seed) if control == "order" else seed
