"""How long a sweep took, beside what no schedule of the same rounds could go below. Pure functions, times in seconds."""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lth.tree.attempts import Attempt

PAUSE = 600.0  # seconds in which nothing ran, after which another sweep begins
NEVER = 1e11  # seconds since 1970: the year 5138


@dataclass(frozen=True)
class Makespan:
    """Seconds of a sweep, failed attempts included.

    ``makespan``: from the first begin to the last end. ``total``: the sum of all attempts. ``critical_path``: of the longest
    chain of rounds, each the parent of the next. ``ratio``: makespan / max(critical_path, total / workers), never below 1 where
    children begin after their parent ends; NaN where nothing took time.
    """

    makespan: float
    total: float
    critical_path: float
    workers: int
    ratio: float


def measure(attempts: Sequence[Attempt], workers: int | None = None) -> Makespan:
    """Return the times of a sweep of one attempt or more.

    Args:
        workers: how many there were; None: the most attempts that ran at once, so a worker that never had anything to do does not
            count. Names of workers are not counted: engines give a new one to each job or process.
    """
    makespan = max(a.end for a in attempts) - min(a.begin for a in attempts)
    total = math.fsum(a.end - a.begin for a in attempts)
    longest, workers = critical_path(attempts), workers or 1 + max(rows(attempts))
    least = max(longest, total / workers)
    return Makespan(makespan, total, longest, workers, makespan / least if least else math.nan)


def critical_path(attempts: Sequence[Attempt]) -> float:
    """Return the seconds of the longest chain of rounds, each the parent of the next, with all attempts until each was finished.

    Another driver looks at a round that is finished while its children are trained; such an attempt holds nothing up.
    """
    own: dict[str, list[Attempt]] = defaultdict(list)
    for a in sorted(attempts, key=lambda a: a.begin):
        own[a.key].append(a)
    longest: dict[str, float] = {}
    for key, some in own.items():  # a parent begins before its children
        finished = min((a.end for a in some if not a.exit), default=math.inf)
        longest[key] = _covered(a for a in some if a.begin < finished) + longest.get(some[0].parent, 0.0)
    return max(longest.values())


def _covered(attempts: Iterable[Attempt]) -> float:
    """Return the seconds in which any of some attempts ran, in order of begin: two drivers may try a round at the same time."""
    seconds, until = 0.0, -math.inf
    for a in attempts:
        seconds += max(0.0, a.end - max(a.begin, until))
        until = max(until, a.end)
    return seconds


def rows(attempts: Sequence[Attempt]) -> list[int]:
    """Return a row, from 0 on, for each attempt, so that no two of a row overlap; the rows are as few as can be."""
    found, free, busy = [0] * len(attempts), [], []  # busy: end, row
    for i in sorted(range(len(attempts)), key=lambda i: attempts[i].begin):
        while busy and busy[0][0] <= attempts[i].begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        found[i] = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (attempts[i].end, found[i]))
    return found


def sweeps(attempts: Iterable[Attempt], pause: float = PAUSE) -> list[list[Attempt]]:
    """Return the attempts in order of begin, split where nothing ran for more than ``pause`` seconds.

    Those whose times cannot be, such as an end before the begin after a clock was set back, are left out.
    """
    found: list[list[Attempt]] = []
    until = -math.inf
    for a in sorted((a for a in attempts if 0 <= a.begin <= a.end < NEVER), key=lambda a: a.begin):
        if a.begin - until > pause:
            found.append([])
        found[-1].append(a)
        until = max(until, a.end)
    return found
