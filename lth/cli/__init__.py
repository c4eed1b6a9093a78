"""What the commands share: error messages, signals, sweeps. Imports no torch."""
