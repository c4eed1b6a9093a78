"""Which round is trained next, by whom: a state machine, an engine's loop over it, and a simulation. Imports no torch."""

import heapq
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lth.errors import Interrupted
from lth.launch.graph import Round, paths

# Exit codes of a worker; 69: another process trains the round, 70: an error that nobody foresaw.
FINISHED, BUSY, INTERRUPTED, CRASHED = 0, 69, Interrupted.exit_code, 70
AGAIN = 1.0  # seconds until a round that another process trains is looked at again


@dataclass(frozen=True)
class Ended:
    """A training that ended: on which worker, when (seconds since 1970), and its exit code, negative for a signal."""

    key: str
    worker: str
    begin: float
    end: float
    exit: int


Note = Callable[[list[tuple[Ended, int]]], None]  # gets the trainings that ended, and their attempts; may raise to stop


class Engine(ABC):
    """What trains the rounds of a schedule."""

    stopped = "running rounds are saved, finished ones are kept"  # what a signal leaves, in words

    @abstractmethod
    def train(self, schedule: "Schedule", note: Note = lambda ended: None) -> None:
        """Train all rounds of a schedule.

        Args:
            note: called every second or so.
        """

    @abstractmethod
    def workers(self) -> int:
        """Return how many rounds can be trained at a time now."""

    def stop(self) -> None:
        """End all trainings, each with a checkpoint, and wait for that."""
        return


class Pool(Engine):
    """Workers that train one round each. None of them is idle while a round is ready for it, and none waits for another's."""

    @abstractmethod
    def free(self) -> int:
        """Return how many rounds could start now."""

    @abstractmethod
    def start(self, r: Round) -> None:
        """Start a round; it does not wait."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Ended]:
        """Return the trainings that ended, as soon as there is one, after ``seconds`` at the latest."""

    def now(self) -> float:
        """Return the time in seconds."""
        return time.time()

    def train(self, schedule: "Schedule", note: Note = lambda ended: None) -> None:
        self._fill(schedule)
        while not schedule.over:
            ended = [(end, schedule.ended(end)) for end in self.wait(1.0)]
            self._fill(schedule)
            note(ended)

    def _fill(self, schedule: "Schedule") -> None:
        for _ in range(self.free()):
            if (r := schedule.next(self.now())) is None:
                return
            self.start(r)


class Schedule:
    """The state of a sweep: rounds that wait for their parent, are ready, running, finished or failed.

    The ready round with the longest remaining path is next.

    Args:
        rounds: parents first.
        finished: keys of those that are finished already.
        cost: of each key, seconds or any other unit.
        retries: how often a round is tried again whose worker died.
    """

    def __init__(self, rounds: Sequence[Round], finished: Collection[str], cost: Mapping[str, float], retries: int = 2) -> None:
        self.rounds, self.cost, self.retries = {r.key: r for r in rounds}, cost, retries
        self.finished = {key for key in self.rounds if key in finished}
        self.running: dict[str, int] = {}  # key -> attempt
        self.failed: dict[str, int] = {}  # key -> exit code
        self.lost: set[str] = set()  # rounds after a failed one
        self.attempts: dict[str, int] = defaultdict(int)  # that counted: the worker died
        self.path, self.children = paths(rounds, cost), defaultdict(list)
        self._order = {r.key: i for i, r in enumerate(rounds)}
        self._ready: list[tuple[float, int, str]] = []
        self._elsewhere: list[tuple[float, str]] = []  # when to look again, key
        for r in rounds:
            if r.parent is not None:
                self.children[r.parent].append(r.key)
            if r.key not in self.finished and (r.parent is None or r.parent in self.finished):
                self._push(r.key)

    def _push(self, key: str) -> None:
        heapq.heappush(self._ready, (-self.path[key], self._order[key], key))

    @property
    def over(self) -> bool:
        """Whether nothing is running, and nothing can be started any more."""
        return not (self.running or self._ready or self._elsewhere)

    @property
    def waiting(self) -> int:
        """How many rounds are neither finished, running, failed nor after a failed one."""
        return len(self.rounds) - len(self.finished) - len(self.running) - len(self.failed) - len(self.lost)

    @property
    def remaining(self) -> float:
        """The cost of all rounds that are running or wait."""
        gone = self.finished | self.failed.keys() | self.lost
        return sum(cost for key, cost in self.cost.items() if key not in gone)

    @property
    def longest(self) -> float:
        """The cost of the longest chain of rounds that begins with one that is running or ready."""
        first = [-self._ready[0][0]] if self._ready else []
        return max([*(self.path[key] for key in self.running), *first], default=0.0)

    def next(self, now: float) -> Round | None:
        """Return the round to start, which is running from then on; None if none is ready."""
        while self._elsewhere and self._elsewhere[0][0] <= now:
            self._push(heapq.heappop(self._elsewhere)[1])
        if not self._ready:
            return None
        key = heapq.heappop(self._ready)[2]
        self.begin(key)
        return self.rounds[key]

    def begin(self, key: str) -> None:
        """Enter that a round is running."""
        self.running[key] = self.attempts[key] + 1

    def ended(self, end: Ended) -> int:
        """Enter that a training ended; return the number of its attempt.

        A round is tried again after a signal or an error that nobody foresaw, which may be the worker's; not after an error of
        its configuration or data.
        """
        key, attempt = end.key, self.running.pop(end.key)
        if end.exit == FINISHED:
            self.finished.add(key)
            for child in self.children[key]:
                self._push(child)
        elif end.exit == BUSY:
            heapq.heappush(self._elsewhere, (end.end + AGAIN, key))
        elif end.exit == INTERRUPTED or ((end.exit < 0 or end.exit == CRASHED) and attempt <= self.retries):
            self.attempts[key] += end.exit != INTERRUPTED
            self._push(key)
        else:
            self.failed[key] = end.exit
            self.lost.update(self.after(key))
        return attempt

    def after(self, key: str) -> list[str]:
        """Return the keys of all rounds that come after a round."""
        found, rest = [], list(self.children[key])
        while rest:
            found.append(rest.pop())
            rest += self.children[found[-1]]
        return found


class Simulated(Pool):
    """An engine whose rounds take what they cost, on a clock of its own."""

    def __init__(self, workers: int, cost: Mapping[str, float]) -> None:
        self.cost, self.clock = cost, 0.0
        self._free = list(range(workers))
        self._running: list[tuple[float, str, float, int]] = []

    def workers(self) -> int:
        return len(self._free) + len(self._running)

    def free(self) -> int:
        return len(self._free)

    def start(self, r: Round) -> None:
        heapq.heappush(self._running, (self.clock + self.cost[r.key], r.key, self.clock, self._free.pop()))

    def wait(self, seconds: float) -> list[Ended]:
        self.clock, key, begin, worker = heapq.heappop(self._running)
        self._free.append(worker)
        return [Ended(key, str(worker), begin, self.clock, FINISHED)]

    def now(self) -> float:
        return self.clock


def makespan(rounds: Sequence[Round], finished: Collection[str], cost: Mapping[str, float], workers: int) -> float:
    """Return how long the rounds that are not finished take on so many workers, in the unit of ``cost``."""
    engine = Simulated(workers, cost)
    engine.train(Schedule(rounds, finished, cost))
    return engine.clock
