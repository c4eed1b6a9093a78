"""Timings, as ratios of medians of interleaved runs. Not tests: `python -m tests.benchmarks [name ...]`."""
