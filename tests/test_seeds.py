"""Random streams are apart by construction, and a pinned one shows that no release draws otherwise."""

import itertools

import pytest

from lth.seeds import STREAMS, stream


def test_streams_of_other_names_seeds_or_indices_never_meet():
    indices = [(), *((i,) for i in range(4)), *itertools.product(range(4), repeat=2), *itertools.product(range(4), repeat=3)]
    drawn = [stream(name, seed, *at) for name in STREAMS for seed in range(8) for at in indices]
    assert len(set(drawn)) == len(drawn)
    assert all(0 <= seed < 2**63 for seed in drawn)


def test_zeros_are_not_padding():
    """numpy's SeedSequence takes (7, 3) and (7, 3, 0, 0) for the same, so an epoch's order met a batch's augmentation."""
    assert stream("data order", 7, 3) != stream("data order", 7, 3, 0, 0)
    assert stream("dropout", 7, 3, 0) != stream("augmentation", 7, 3, 0, 1)


def test_a_stream_is_pinned():
    assert stream("initialisation", 2018) == 402540677061923133


def test_an_unknown_stream_is_refused():
    with pytest.raises(KeyError, match="no random stream is called 'luck'"):
        stream("luck", 0)
