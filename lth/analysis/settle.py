"""Which command would settle what is not shown of a ticket: more seeds, more epochs, the controls that are missing."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lth.analysis import naming
from lth.analysis.compare import IN_ACCURACY
from lth.analysis.statistics import MOST, seeds_for
from lth.analysis.verdict import Verdict

FEW, LONGER, DEEPER = 5, 2, 3  # seeds where there is one; times as many epochs; more rounds
HASHED = ("model.weights", "trainer.precision")  # a record has a hash of one, the other resolved: not what was typed
OVERRIDE = re.compile(r"[+~]*([\w.@/]+)=(.*)", re.DOTALL)
MULTIRUN = ("-m", "--multirun")


def command(recorded: str | None, changes: Mapping[str, str], own: Mapping[str, str] | None = None) -> str:
    """The command line ``recorded`` with other values of some keys; of the changes alone where none is on record.

    Args:
        recorded: the arguments of ``python -m lth.run`` as a shell reads them.
        changes: key -> value.
        own: key -> value that stands for a list of them in a sweep: that of one chain.
    """
    tokens, left = [], dict(changes)
    given = _overrides(recorded)
    for token in (token for token in given if token not in MULTIRUN):
        key, value = OVERRIDE.fullmatch(token).groups()
        if key in left:
            tokens.append(f"{key}={left.pop(key)}")
        elif key not in changes:  # and not given twice
            tokens.append(f"{key}={own[key]}" if own and "," in value and key in own else token)
    tokens += [f"{key}={value}" for key, value in left.items()]
    sweep = any(token in MULTIRUN for token in given) or any(re.search(r"=[^\[{'\"]*,", token) for token in tokens)
    return shlex.join(["python", "-m", "lth.run", *["-m"] * sweep, *tokens])


def _overrides(recorded: str | None) -> list[str]:
    """The arguments of a recorded command; none where it is not one of ``python -m lth.run``, as that of a script."""
    try:
        tokens = shlex.split(recorded or "")
    except ValueError:
        return []
    return tokens if all(token in MULTIRUN or OVERRIDE.fullmatch(token) for token in tokens) else []


def own(record: Mapping[str, Any], varied: Sequence[str]) -> dict[str, str]:
    """What one chain has of that which a sweep may vary: key of the command line -> value."""
    fields = {"model": "model", "data": "data", "finetune": "finetune", "epochs": "epochs", "prune.rate": "rate"}
    fields |= {f"prune.{name}": name for name in naming.DEFAULTS}
    found = {key: record[name] for key, name in fields.items() if record.get(name) is not None}
    varied = [key for key in varied if key not in HASHED]
    return {key: str(value) for key, value in (found | {key: naming.setting(record, key) for key in varied}).items()}


def seeds(v: Verdict) -> tuple[int, bool]:
    """How many seeds would show what is not shown of a ticket, with a chance of 80% if means and deviations stay as they are.

    Returns the number, at most 20, and whether it suffices. What is shown to be within its bound asks for none more.
    """
    if v.accuracy.deviation is None or v.iterations.deviation is None:
        return max(FEW, len(v.seeds) + 2), True
    gaps = [(v.accuracy.mean + v.margin, v.accuracy)]
    if v.at_most != IN_ACCURACY and not v.censored:
        gaps.append((v.allowed - v.iterations.mean, v.iterations))
    needed = max(seeds_for(abs(effect), d.deviation, d.n - 1, v.tests) for effect, d in gaps)
    return max(needed, len(v.seeds) + 1), needed < MOST


def listed(known: Sequence[int], count: int) -> str:
    """``count`` seeds as Hydra reads them: the known ones, then the integers after the largest."""
    after = max(known, default=-1) + 1
    return ",".join(map(str, [*sorted(known), *range(after, after + max(0, count - len(known)))]))
