"""What a person sees of a sweep: one line in place in a terminal, a line for each round elsewhere. Imports no torch."""

import re
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from lth.launch.schedule import Ended, Schedule
from lth.launch.work import log_path

SHOWN = 2  # running rounds
EPOCH = re.compile(r"epoch (\d+)/(\d+)")


class Display:
    """Progress of a schedule, refreshed once a second at most.

    Args:
        outputs: where the logs of running rounds lie.
        workers: returns how many there are now.
        seconds: whether costs are seconds; else no time remaining is shown until a round has ended.
    """

    def __init__(self, schedule: Schedule, outputs: Path, workers: Callable[[], int], seconds: bool) -> None:
        self.schedule, self.outputs, self.workers = schedule, outputs, workers
        self.scale = 1.0 if seconds else None  # seconds for each unit of cost
        self._spent = self._cost = 0.0  # of rounds that ended
        self.live = sys.stderr.isatty()
        self._last = 0.0

    def show(self, ended: list[tuple[Ended, int]]) -> None:
        """Show the state; after trainings that ended, where there is no terminal, a line for each."""
        for end, _ in ended:
            if end.exit == 0:
                self._spent, self._cost = self._spent + end.end - end.begin, self._cost + self.schedule.cost[end.key]
                self.scale = self._spent / self._cost
        if self.live:
            if (now := time.monotonic()) - self._last >= 1:
                self._last = now
                width = shutil.get_terminal_size().columns - 1
                sys.stderr.write(f"\r{self.line()[:width]:{width}}")
                sys.stderr.flush()
            return
        for end, attempt in ended:
            title, again = self.schedule.rounds[end.key].title, f", attempt {attempt}" if attempt > 1 else ""
            how = "finished" if end.exit == 0 else f"ended with exit code {end.exit}"
            print(f"{title} {how} in {end.end - end.begin:.1f} s on {end.worker}{again}; {self.counts()}", file=sys.stderr)

    def close(self) -> None:
        """End the live line."""
        if self.live and self._last:
            sys.stderr.write("\n")

    def counts(self) -> str:
        s = self.schedule
        failed = f", {len(s.failed)} failed" if s.failed else ""
        return f"{len(s.rounds)} rounds: {len(s.finished)} done, {len(s.running)} running, {s.waiting} waiting{failed}"

    def line(self) -> str:
        """Return ``63 rounds: 12 done, 2 running (round 3/8 seed 1, 51% | ...), 49 waiting, 1 h 12 min left on 2 workers``."""
        s, running = self.schedule, list(self.schedule.running)
        shown = [f"{s.rounds[key].title}, {progress(self.outputs, key):.0%}" for key in running[:SHOWN]]
        some = f" ({' | '.join(shown)}{' | …' if len(running) > SHOWN else ''})" if shown else ""
        return self.counts().replace(" running", f" running{some}") + self._left()

    def _left(self) -> str:
        workers = max(1, self.workers())
        return f", {duration(self.scale * self.remaining(workers))} left on {workers} workers" if self.scale else ""

    def remaining(self, workers: int) -> float:
        """Return the least cost at which the rest can be trained: shared evenly, but no less than the longest path."""
        s = self.schedule
        done = sum(s.cost[key] * progress(self.outputs, key) for key in list(s.running)[:SHOWN])
        rest = s.remaining - done
        return max(rest / workers, s.longest - done)


def progress(outputs: Path, key: str) -> float:
    """Return the fraction of a running round that its log shows."""
    try:
        with open(log_path(outputs, key), "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 500))
            found = EPOCH.findall(file.read().decode(errors="replace"))
    except OSError:
        return 0.0
    return int(found[-1][0]) / int(found[-1][1]) if found else 0.0


def duration(seconds: float) -> str:
    """Return a time such as ``1 h 12 min``, ``3 min 5 s`` or ``12 s``."""
    whole = timedelta(seconds=max(0, round(seconds)))
    hours, rest = divmod(whole.days * 86400 + whole.seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"
