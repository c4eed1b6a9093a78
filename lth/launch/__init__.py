"""A sweep as a graph of rounds, handed to an engine: processes of this machine, Ray or Slurm."""
