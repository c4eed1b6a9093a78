"""Seeds of random streams, drawn by name, so that no two uses of a seed coincide. Imports no torch."""

import hashlib

STREAMS = {
    "initialisation",
    "data order",  # epoch
    "augmentation",  # epoch, rank, batch
    "dropout",  # epoch, rank
    "reinit",  # of controls, as the next three
    "shuffle",
    "random mask",
    "other order",
    "random criterion",  # round
    "score images",
    "validation split",  # class number
    "test split",  # class number
    "trial",  # number in a study
}


def stream(name: str, seed: int, *indices: int) -> int:
    """Return a 63-bit seed for one use of randomness: the hash of its name, seed and indices.

    Args:
        name: one of ``STREAMS``.
        seed: of the replicate or of the split.
        indices: position in the stream, such as epoch, rank and batch; their number matters, too.

    Raises:
        KeyError: no random stream has this name.
    """
    if name not in STREAMS:
        raise KeyError(f"no random stream is called {name!r}")
    text = "/".join([name, *map(str, (seed, *indices))])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
