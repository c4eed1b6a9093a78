"""The tree of rounds: what determines a round, where it lies, how it is trained, how it is proved."""
