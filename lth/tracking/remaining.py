"""How much of an experiment remains. Imports no torch."""

from dataclasses import dataclass


@dataclass
class Remaining:
    """Epochs from which a progress bar computes the time remaining: of all rounds to train, and of those trained."""

    total: float
    done: float = 0.0
    started: float = 0.0  # when the first training began, in seconds since 1970; 0 before
