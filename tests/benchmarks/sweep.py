"""A sweep on one and on two local workers against plain -m, and the schedule alone on invented durations."""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lth.analysis.makespan import measure
from lth.launch.graph import Round, paths
from lth.launch.schedule import Schedule, Simulated
from lth.tree import attempts
from tests.benchmarks.timing import show

OPTIONS = (
    "data=scenes data.image_size=48 data.train_per_class=100 trainer=cpu logger=none epochs=6 prune.rate=0.2,0.5,0.8 seed=0,1,2 "
    "prune.rounds=4 prune.controls=reinit+random"
)


def sweep() -> None:
    """Print the makespan of three rates, three seeds, four rounds, two controls; compare the bits with plain -m."""
    with tempfile.TemporaryDirectory() as folder:
        finals = {}
        for name, launcher in (("plain", []), ("1", ["hydra/launcher=local"]), ("2", ["hydra/launcher=local"])):
            outputs = Path(folder) / name
            options = [*launcher, *([f"hydra.launcher.workers={name}"] if launcher else [])]
            line = [sys.executable, "-m", "lth.run", "-m", *OPTIONS.split(), f"outputs={outputs}", f"data.cache={folder}/cache"]
            begin = time.perf_counter()
            subprocess.run([*line, *options], check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            print(f"\n{name} {'worker(s)' if launcher else '-m'}: {time.perf_counter() - begin:.0f} s with start-up and tables")
            finals[name] = {path.parent.name: path.read_bytes() for path in outputs.glob("rounds/*/final.safetensors")}
            if launcher:
                rows = attempts.read(outputs)
                keys = {row.key for row in rows}
                print(f"  {len(rows)} attempts of {len(keys)} keys, {len(finals[name])} rounds; {measure(rows, int(name))}")
        print(
            f"\nbits as those of plain -m: 1 worker {finals['1'] == finals['plain']}, 2 workers {finals['2'] == finals['plain']}"
        )


def schedule() -> None:
    """Print what the schedule costs a round, and how near its makespan is to the lower bound: 10,000 rounds, 1,000 workers."""
    rng, rounds = random.Random(0), []
    for i in range(1000):
        chain = [Round(f"{i}-{k}", f"{i}-{k - 1}" if k else None) for k in range(5)]
        rounds += [*chain, *(Round(f"{i}c{k}", f"{i}-{k}") for k in range(5))]
    cost = {r.key: rng.uniform(50, 150) for r in rounds}
    begin, engine = time.perf_counter(), Simulated(1000, cost)
    engine.train(Schedule(rounds, (), cost))
    each = (time.perf_counter() - begin) / len(rounds)
    bound = max(max(paths(rounds, cost).values()), sum(cost.values()) / 1000)
    cases = {"lower bound": bound, "invented": engine.clock}
    show(f"makespan of 10,000 rounds on 1,000 workers ({1000 * each:.3f} ms a round for the schedule)", cases, "lower bound", 1)
