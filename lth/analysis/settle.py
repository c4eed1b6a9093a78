"""What to run next, and the command for it: more seeds, more epochs, the controls that are missing, other densities."""

import re
import shlex
from collections.abc import Mapping, Sequence

from lth.analysis import naming
from lth.analysis.compare import IN_ACCURACY
from lth.analysis.statistics import MOST, seeds_for
from lth.analysis.verdict import MARGIN, Verdict, nearest, sparsest
from lth.tree.record import Record
from lth.tree.settings import setting

FEW, LONGER, DEEPER = 5, 2, 3  # seeds where there is one; times as many epochs; more rounds
HASHED = ("model.weights", "trainer.precision")  # a record has a hash of one, the other resolved: not what was typed
OVERRIDE = re.compile(r"[+~]*([\w.@/]+)=(.*)", re.DOTALL)
MULTIRUN = ("-m", "--multirun")
FIELDS = {"model": "model", "data": "data", "finetune": "finetune", "epochs": "epochs", "prune.rate": "rate"}
FIELDS |= {f"prune.{name}": name for name in naming.DEFAULTS}
Plan = tuple[str, dict[str, str]]  # why, and which keys of the command line change


def sentence(judged: Sequence[Verdict], records: Sequence[Record], varied: Sequence[str]) -> str:
    """Return what would settle what is open in a chain: a reason and a command; arguments as of ``sentences.account``."""
    best, v = sparsest(judged), nearest(judged)
    about = (v or best or judged[0]).ticket
    tickets = [r for r in records if (r.step, r.round) == (about.step, about.round) and not r.control]
    last = max(tickets, key=lambda r: (bool(r.command), r.finished))
    denser = "more seeds would not change that; for denser tickets", {"prune.rate": f"{last.rate / 2:g}"}
    why, changes = _more(v, last) if v else _beyond(best, last) if best else denser
    known = sorted({r.seed for r in records if r.round or not r.control})
    if len(known) > 1:
        changes = {"seed": listed(known, 0)} | changes
    return f"{why}: `{command(last.command, changes, typed(last, varied))}`"


def _more(v: Verdict, last: Record) -> Plan:
    """Return longer training where early stops are censored, more seeds where bounds are too wide."""
    accuracy, seeds, changes, why = v.dense.accuracy, v.dense.seeds, {}, []
    if not seeds:
        return "train the dense networks", changes
    if v.dense.censored and v.at_most != IN_ACCURACY:
        changes["epochs"] = str(LONGER * last.epochs)
        why.append(f"{changes['epochs']} epochs instead of {last.epochs}, so that early stops are seen")
    if not accuracy.bounds or accuracy.bounds[0] < -MARGIN or not why:
        count, enough = seeds_needed(v)
        changes["seed"] = listed(seeds, count)
        few = "" if enough else "; more are needed for a chance of 80%"
        contrary = accuracy.bounds and (accuracy.value < -MARGIN or (v.dense.speed and v.dense.iterations.value > v.allowed))
        leaning = f", which are likelier to show that it is not {v.at_most}" if contrary else ""
        why.append(f"{count} seeds instead of {len(seeds)}{few}{leaning}")
    return ", and ".join(why), changes


def _beyond(best: Verdict, last: Record) -> Plan:
    """Return the controls that are missing; where none is, sparser tickets."""
    if missing := best.controls_missing:
        kinds = [*(c.control for c in best.controls), *["dense"] * bool(best.matched), *missing]
        changes = {"prune.controls": "+".join(kinds), "prune.control_rounds": str(best.ticket.round)}
        return f"run {' and '.join(missing.values())}", changes
    return "nothing is open here; for sparser tickets", {"prune.rounds": str(last.round * last.levels + DEEPER)}


def seeds_needed(v: Verdict) -> tuple[int, bool]:
    """Return how many seeds, at most 20, would show what is not shown of a ticket, and whether so many suffice.

    With a chance of 80%, if means and deviations stay as they are.
    """
    accuracy, stop, n = v.dense.accuracy, v.dense.iterations, len(v.dense.seeds)
    if n < 2:
        return max(FEW, n + 2), True
    gaps = [(accuracy.value + MARGIN, accuracy)] + [(v.allowed - stop.value, stop)] * v.dense.speed
    needed = max(seeds_for(abs(effect), d.deviation, n - 1, v.tests) for effect, d in gaps)
    return max(needed, n + 1), needed < MOST


def listed(known: Sequence[int], count: int) -> str:
    """Return ``count`` seeds as Hydra reads them: the known ones, then the integers after the largest."""
    after = max(known, default=-1) + 1
    return ",".join(map(str, [*sorted(known), *range(after, after + max(0, count - len(known)))]))


def typed(record: Record, varied: Sequence[str]) -> dict[str, str]:
    """Return what one chain has of that which a sweep may vary: key of the command line -> value."""
    values = {key: getattr(record, name) for key, name in FIELDS.items()}
    values |= {key: setting(record, key) for key in varied if key not in HASHED}
    return {key: str(value) for key, value in values.items()}


def command(recorded: str | None, changes: Mapping[str, str], chain: Mapping[str, str] | None = None) -> str:
    """Return the command line ``recorded`` with other values of some keys; of the changes alone where none is on record.

    Args:
        recorded: the arguments of ``python -m lth.run`` as a shell reads them.
        changes: key -> value.
        chain: key -> value that stands for a list of them in a sweep: that of one chain.
    """
    arguments, chain = _arguments(recorded), chain or {}
    tokens = {OVERRIDE.fullmatch(token)[1]: token for token in arguments if token not in MULTIRUN}
    tokens |= {key: f"{key}={chain[key]}" for key, token in tokens.items() if "," in token and key in chain}
    tokens |= {key: f"{key}={value}" for key, value in changes.items()}
    lists = any(re.search(r"=[^\[{'\"]*,", token) for token in tokens.values())
    sweep = lists or any(token in MULTIRUN for token in arguments)
    return shlex.join(["python", "-m", "lth.run", *["-m"] * sweep, *tokens.values()])


def _arguments(recorded: str | None) -> list[str]:
    """Return the arguments of a recorded command; none where it is not one of ``python -m lth.run``, as that of a script."""
    try:
        tokens = shlex.split(recorded or "")
    except ValueError:
        return []
    return tokens if all(token in MULTIRUN or OVERRIDE.fullmatch(token) for token in tokens) else []
