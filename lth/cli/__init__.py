"""What the commands share: error sentences, signals, sweeps, printed results. Imports no torch."""
