"""Experiments as files for other processes. They are pickles: reading one runs what it names. Nothing else here reads pickles."""

import pickle
from pathlib import Path

from lth.hashes import of_json
from lth.training.experiment import Experiment


def write(experiment: Experiment, folder: Path) -> Path:
    """Write an experiment into a folder that only this user may enter; return the file, named by what is in it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = _pickled(experiment)
    path = folder / f"{of_json(content.hex())[:16]}.pickle"
    path.write_bytes(content)
    return path


def read(path: Path) -> Experiment:
    """Return the experiment of a file that ``write`` made. It has to be of this user: reading it runs code."""
    return pickle.loads(path.read_bytes())


def _pickled(experiment: Experiment) -> bytes:
    try:
        from cloudpickle import dumps  # also takes functions of a script
    except ImportError:
        from pickle import dumps
    return dumps(experiment)
