"""Random streams are drawn by name, so that no two uses of a seed can meet. Imports no torch."""

import hashlib

STREAMS = {
    "initialisation",
    "data order",  # epoch
    "augmentation",  # epoch, rank, batch
    "dropout",  # epoch, rank
    "reinit",  # the controls' draws
    "shuffle",
    "random mask",
    "other order",
    "random criterion",  # round
    "score images",
    "validation split",  # class number
    "test split",  # class number
}


def stream(name: str, seed: int, *indices: int) -> int:
    """A 63-bit seed for one use of randomness.

    Streams of different names, seeds or indices (also of different numbers of indices) are different texts, and the
    seed is the SHA-256 of the text.

    Args:
        name: one of ``STREAMS``.
        seed: of the replicate or of the split.
        indices: where in the stream, such as epoch, rank and batch.

    Raises:
        KeyError: there is no stream of this name.
    """
    if name not in STREAMS:
        raise KeyError(f"there is no random stream called {name!r}")
    text = "/".join([name, *map(str, (seed, *indices))])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
