"""How long an experiment still takes. Imports no torch."""

import time


class Outlook:
    """Epochs of an experiment that are to be trained, those that are, and the time that the others will take.

    The pace is that of all that was trained since ``start``, with what lies between rounds.

    Args:
        total: epochs of all rounds that are missing.
    """

    def __init__(self, total: float) -> None:
        self.total = total
        self.done = 0.0
        self._begin: float | None = None

    def start(self) -> None:
        """Training begins: images are decoded, the network is built."""
        if self._begin is None:
            self._begin = time.monotonic()

    def trained(self, epochs: float) -> None:
        """A round was trained here."""
        self.done += epochs

    def found(self, epochs: float) -> None:
        """A round that was missing is finished by another process: it says nothing about the pace."""
        self.total -= epochs

    def left(self, here: float) -> float:
        """Seconds left, ``here`` epochs (above 0) into the present round."""
        done = self.done + here
        return (time.monotonic() - self._begin) / done * max(0.0, self.total - done)
