"""python -m tests.benchmarks [name ...]: all benchmarks, or those named."""

import platform
import sys

import torch

from tests.benchmarks import epochs, frozen, report, scenes, start, steps, transfer_levers

ALL = {
    "start": start.start,
    "masked": steps.masked,
    "levers": steps.levers,
    "transfer_levers": transfer_levers.transfer_levers,
    "dropout": steps.dropout,
    "ranking": steps.ranking,
    "epoch": epochs.epoch,
    "turnaround": epochs.turnaround,
    "frozen": frozen.frozen,
    "scenes": scenes.scenes,
    "report": report.report,
}

if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in sys.argv[1:] or ALL:
        ALL[name]()
