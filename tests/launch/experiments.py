"""Experiments that go wrong in processes of other workers: this module is imported there."""

import os
import signal
import time
from pathlib import Path

from lth.cli import signals
from lth.errors import DataError
from lth.training.experiment import ImageExperiment, Say


def _once(path: Path) -> bool:
    """Whether nobody was here before."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


class Killed(ImageExperiment):
    """Whose first worker is killed when the network is to be made; with ``always`` beside the outputs, each of them."""

    def task(self, say: Say):
        outputs = Path(self.config.outputs)
        if (outputs / "always").exists() or _once(outputs / "killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().task(say)


class Refused(ImageExperiment):
    """Whose data cannot be used."""

    def task(self, say: Say):
        raise DataError("the images are gone.")


class Slow(ImageExperiment):
    """That tells when it is about to train, and then waits for a signal."""

    def task(self, say: Say):
        (Path(self.config.outputs) / "begun").touch()
        while True:
            signals.stop("nothing is saved yet")
            time.sleep(0.1)
