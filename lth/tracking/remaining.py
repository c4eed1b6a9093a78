"""How much of an experiment remains. Imports no torch."""

from dataclasses import dataclass


@dataclass
class Remaining:
    """Epochs of an experiment, from which a progress bar computes the time remaining.

    ``total``: of all rounds that this process is to train; ``done``: of those that it has trained; ``started``: when it began
    to train, in seconds since 1970, 0 before.
    """

    total: float
    done: float = 0.0
    started: float = 0.0
