"""What a ticket may be called, and what it is called."""

from lth.tree.record import Record

WINNING, MATCHING, IN_ACCURACY = "winning", "matching", "matching in accuracy"
NOT_WINNING, NOT_MATCHING, NOT_SHOWN = "not winning", "not matching", "not shown"
POSITIVE = (WINNING, MATCHING, IN_ACCURACY)
CALLED = {WINNING: "winning ticket", MATCHING: "matching subnetwork", IN_ACCURACY: "subnetwork that matches in accuracy"}


def at_most(ticket: Record) -> str:
    """Return what a ticket may be called at most, by the weights that it starts from.

    Only weights rewound to a random initialisation can be a winning ticket (Frankle & Carbin 2019); from a later checkpoint
    or from pretrained weights they are a matching subnetwork (Frankle et al. 2020, arXiv 1912.05671). A fine-tuned or
    learning-rate-rewound network starts trained, so how soon it stops says nothing: its accuracy alone is compared.
    """
    if ticket.retrain != "rewind":
        return IN_ACCURACY
    return MATCHING if ticket.rewind != "init" or ticket.pretrained else WINNING
