"""When which worker trained which round: schedule.csv as a Gantt chart."""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from lth.analysis import makespan, naming
from lth.analysis.makespan import PAUSE, Makespan
from lth.errors import Interrupted
from lth.report.details import Part
from lth.report.plot import COLOURS, GREY, Axis, Line, Lines, brief
from lth.report.scores import short
from lth.tree.attempts import Attempt
from lth.tree.record import Record

ROWS, HUES = 40, 6  # workers that have a row each, numbers of rounds that have a colour each
UNITS = {"hours": 3600, "minutes": 60, "seconds": 1}  # each is used from three of it on
FAILED, TAN = "failed", "#BBAA88"


def parts(attempts: Sequence[Attempt], records: Sequence[Record]) -> list[Part]:
    """Return the chart of the last sweep, and a sentence about it; nothing where there is no attempt."""
    sweeps = makespan.sweeps(attempts)
    if not sweeps:
        return []
    rows, names = places(sweeps[-1])
    plot = gantt(sweeps[-1], rows, names, records)
    return [Part("", caption(sweeps, names), {"schedule": plot}), Part("", sentence(makespan.measure(sweeps[-1])))]


def places(attempts: Sequence[Attempt]) -> tuple[list[int], list[str]]:
    """Return the row of each attempt, from below, and the rows' names: workers, the first on top; none if rows are shared.

    They are shared where there are more than ROWS workers, one for each attempt (of Slurm), or one that did two things at a time.
    """
    own: dict[str, list[Attempt]] = {}
    for a in attempts:
        own.setdefault(a.worker, []).append(a)
    twice = any(b.begin < a.end - 1 for some in own.values() for a, b in pairwise(some))  # clocks may be a second off
    few = makespan.rows(attempts)
    if twice or len(own) > ROWS or len(own) == len(attempts) > 1 + max(few):
        return few, []
    workers = sorted(own, key=lambda name: re.sub("[0-9]+", lambda digits: digits[0].zfill(12), name), reverse=True)
    alone = len({worker.rpartition(":")[0] for worker in workers}) == 1  # all on one host, which needs no name
    return [workers.index(a.worker) for a in attempts], [w.rpartition(":")[2] if alone else w for w in workers]


def gantt(attempts: Sequence[Attempt], rows: Sequence[int], names: Sequence[str], records: Sequence[Record]) -> Lines:
    """Return the chart of attempts, in order of begin, in their rows: a bar each, one series a colour."""
    known, called = {record.key: record for record in records}, naming.headings(records)
    measured, groups, count = makespan.measure(attempts), grouped(attempts, known), 1 + max(rows)
    (unit, size), lines = _unit(measured.makespan), []
    for label, colour in dict(groups.values()).items():
        x, y, notes = [], [], []
        for a, row in zip(attempts, rows):
            if groups[a][0] == label:
                bar = _bar(a.begin - attempts[0].begin, a.end - attempts[0].begin, measured.makespan, a.exit != 0)
                note = [*_name(a, known, called), _facts(a), *([] if names else [f"worker {brief(a.worker)}"])]
                x += [round(second / size, 4) for second in bar]
                y += [row] * len(bar)
                notes += ["\n".join(note)] * (len(bar) - 1) + [""]
        lines.append(Line(label, x, y, colour, notes=notes, width=min(14, 340 / count)))
    where = f"{_count(len({a.key for a in attempts}), 'round')} on {_count(measured.workers, 'worker')}"
    up = Axis("worker" if names else "rounds at a time", "names", names or [str(1 + i) for i in range(count)])
    failed = _count(sum(a.exit != 0 for a in attempts), "attempt") + " failed or interrupted"
    x_axis = Axis(f"{unit} since the first round began")
    title = f"{where}: makespan {measured.makespan / size:.1f} {unit}"
    return Lines(title, x_axis, up, lines, failed if any(a.exit for a in attempts) else "")


def grouped(attempts: Sequence[Attempt], known: Mapping[str, Record]) -> dict[Attempt, tuple[str, str]]:
    """Return what the bar of each attempt is called in the legend, and its colour; in the order of the legend.

    Rounds of one number have one colour; of more than HUES numbers, those of some numbers that follow each other.
    """
    numbers = sorted({known[a.key].round for a in attempts if not a.exit and a.key in known})
    some = [part.tolist() for part in np.array_split(numbers, min(len(numbers), HUES) or 1) if len(part)]
    labels = [f"rounds {part[0]} to {part[-1]}" if len(part) > 1 else f"round {part[0]}" for part in some]
    labels = ["dense networks" if label == "round 0" else label for label in labels]
    groups = {number: (labels[i], COLOURS[i]) for i, part in enumerate(some) for number in part}
    groups |= {None: ("not in this report", TAN), FAILED: ("failed or interrupted", GREY)}
    of = {a: FAILED if a.exit else known[a.key].round if a.key in known else None for a in attempts}
    order = list(groups)
    return {a: groups[group] for a, group in sorted(of.items(), key=lambda item: order.index(item[1]))}


def _bar(begin: float, end: float, span: float, failed: bool) -> list[float]:
    """Return the points of a bar: its ends, some between them for the hover to find, and NaN.

    A gap keeps it apart from the next; a failure of short time is drawn long enough to be seen.
    """
    end -= min(span / 400, (end - begin) / 4)
    end = max(end, begin + span / 200) if failed else end
    return [*np.linspace(begin, end, 2 + int(30 * (end - begin) / (span or 1))).tolist(), math.nan]


def _name(a: Attempt, known: Mapping[str, Record], called: Mapping[tuple[str, str], str]) -> list[str]:
    """Return what the round of an attempt is called, and its chain; one that never finished is called after its parent."""
    record, key = known.get(a.key), f"({a.key[:6]})"
    if record:
        return [f"{short(record)}, seed {record.seed} {key}", called[record.recipe, record.step]]
    parent = known.get(a.parent)
    return [f"after {short(parent)}, seed {parent.seed} {key}" if parent else f"round {a.key[:6]}"]


def _facts(a: Attempt) -> str:
    seconds = a.end - a.begin
    what = "interrupted" if a.exit == Interrupted.exit_code else f"signal {-a.exit}" if a.exit < 0 else ""
    return f"{seconds:.1f} seconds, attempt {a.attempt}, exit {a.exit}" + f" ({what})" * bool(what)


def caption(sweeps: Sequence[Sequence[Attempt]], names: Sequence[str]) -> str:
    """Return how the chart of the last sweep is to be read, and what it does not show."""
    shown, earlier = sweeps[-1], [a for sweep in sweeps[:-1] for a in sweep]
    begin = datetime.fromtimestamp(shown[0].begin, UTC)
    text = f"A bar is a round, from the moment at which a worker took it; the first began at {begin:%Y-%m-%d %H:%M} UTC."
    if any(a.exit for a in shown):
        text += " Grey ones did not finish it, and are drawn long enough to be seen."
    if not names:
        called = len({a.worker for a in shown})
        text += f" The workers have {called:,} names; bars are drawn in as few rows as hold them without overlap."
    elif len(names) > (most := 1 + max(makespan.rows(shown))):
        text += f" {len(names)} workers took part, at most {most} at a time."
    if earlier:
        end = datetime.fromtimestamp(max(a.end for a in earlier), UTC)
        text += (
            f" Not shown: {_count(len(earlier), 'attempt')} of {_count(len(sweeps) - 1, 'earlier sweep')}, until "
            f"{end:%Y-%m-%d %H:%M} UTC; another sweep begins where nothing ran for more than {PAUSE / 60:g} minutes."
        )
    return text


def sentence(m: Makespan) -> str:
    """Return the makespan beside what it could not go below."""
    unit, size = _unit(m.makespan)
    text = (
        f"The makespan is {m.makespan / size:.1f} {unit}; all rounds took {m.total / size:.1f} {unit} together, and the longest "
        f"chain from parents to children {m.critical_path / size:.1f} {unit}"
    )
    if math.isfinite(m.ratio):
        each = f"the sum over {_count(m.workers, 'worker')}"
        text += f": the makespan is {m.ratio:.2f} times the larger of that chain and {each}, below which it cannot be"
    return f"{text}."


def _unit(seconds: float) -> tuple[str, int]:
    return next(((unit, size) for unit, size in UNITS.items() if seconds >= 3 * size), ("seconds", 1))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
