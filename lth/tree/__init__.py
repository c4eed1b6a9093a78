"""The tree of rounds on disk: specs and keys, folders, records, tickets. Imports no torch until tensors are read."""
