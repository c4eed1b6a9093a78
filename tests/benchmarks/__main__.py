"""python -m tests.benchmarks [name ...]: all, or those named; ``rival=DIR`` reads finished rounds, ``loop=DIR`` MNIST."""

import platform
import sys

import torch

from lth.training import device
from tests.benchmarks import commands, epochs, files, frozen, half, job, loop, rival, small, steps, sweep, timing

ALL = {
    "start": commands.start,
    "masked": steps.masked,
    "survivors": steps.survivors,
    "levers": steps.levers,
    "transfer_levers": steps.transfer_levers,
    "ranking": steps.ranking,
    "epoch": epochs.epoch,
    "turnaround": epochs.turnaround,
    "frozen": frozen.frozen,
    "half": half.half,
    "small": small.small,
    "report": commands.report,
    "first_sight": files.first_sight,
    "second_start": files.second_start,
    "disk": files.disk,
    "schedule": sweep.schedule,
    "sweep": sweep.sweep,
}
FOLDERS = {"rival": rival.rival, "loop": loop.loop, "job": job.job}  # they read finished rounds, or images, and train for long

if __name__ == "__main__":
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    device.prepare(deterministic=False)
    print(timing.HEAD)
    for name in sys.argv[1:] or ALL:
        name, _, given = name.partition("=")
        (ALL | FOLDERS)[name](*filter(None, given.split(",")))
