"""What to run next, and the command for it: seeds, epochs, missing controls, other densities."""

import shlex
from collections.abc import Mapping, Sequence

from lth.analysis import naming
from lth.analysis.statistics import MOST, seeds_for
from lth.analysis.verdict import EQUAL, IN_ACCURACY, MARGIN, Verdict, nearest, sparsest
from lth.tree.record import Record
from lth.tree.settings import setting

FEW, LONGER, DEEPER = 5, 2, 3  # seeds where there is one; times as many epochs; more rounds
KINDS = {**naming.CONTROLS, "dense": EQUAL}  # value of prune.controls -> name of a comparison
EXPECTED = {KINDS["reinit"]: "re-initialised control", EQUAL: EQUAL}  # comparison that a ticket should have -> control
MULTIRUN = ("-m", "--multirun")
SWEPT = ("finetune", "prune.rate", "prune.criterion", "prune.allocation", "prune.rewind", "prune.retrain")
HASHED = ("model.weights", "trainer.precision", "prune.ticket")  # hashed or resolved in records: not what was typed


def sentence(judged: Sequence[Verdict], records: Sequence[Record], varied: Sequence[str]) -> str:
    """Return what would settle what is open in a chain of ``records``: a reason and a command."""
    best, v = sparsest(judged), nearest(judged)
    last = max((record for record in records if record.round), key=lambda record: record.finished)
    seeds = sorted({record.seed for record in records})
    if v:
        why, changes = _more(v, seeds)
        why += ", also in the search that found the masks" * ("seed" in changes and last.origin is not None)
    elif best and missing(best):
        why = f"run {' and '.join(f'the {name}' for name in missing(best))}"
        kinds = [kind for kind, name in KINDS.items() if name in best.comparisons or EXPECTED.get(name) in missing(best)]
        changes = {"prune.controls": "+".join(kinds), "prune.control_rounds": f"{best.ticket.round}"}
    elif last.origin:
        why = "nothing is open here" if best else "more seeds would not change that"
        return f"{why}; other densities are other rounds of the search that found the masks (prune.ticket)."
    elif best:
        why = "nothing is open here; for sparser tickets"
        changes = {"prune.rounds": f"{best.ticket.round * best.ticket.levels + DEEPER}"}
    else:
        why, changes = "more seeds would not change that; for denser tickets", {"prune.rate": f"{last.rate / 2:g}"}
    if len(seeds) > 1:
        changes = {"seed": ",".join(map(str, seeds))} | changes
    if is_study(last.command):
        changes = of_study(changes, last)
    chain = {key: setting(last, key) for key in (*SWEPT, *varied) if key not in HASHED and setting(last, key) is not None}
    return f"{why}: `{command(last.command, changes, {'model': last.model, 'data': last.data} | chain)}`"


def is_study(recorded: str | None) -> bool:
    """Return whether a command line is that of a study."""
    words = shlex.split(recorded or "")
    named = any(word == "experiment=study" or word.startswith("study.models=") for word in words)
    return named and "study.models=[]" not in words


def of_study(changes: Mapping[str, str], ticket: Record) -> dict[str, str]:
    """Return changes as a study takes them: its last tickets alone have controls, and what a budget chose is kept."""
    result = {"study.budget": "none", "epochs": f"{ticket.epochs}", "prune.rate": f"{ticket.rate:g}"}
    halved = 2 if ticket.settings.get("prune.structure") == "channels" else 1
    for name, value in changes.items():
        if name == "seed":
            result["study.seeds"] = f"{len(value.split(','))}"
        elif name == "prune.controls":
            result["study.controls"] = value
        elif name in ("prune.control_rounds", "prune.rounds"):
            result["study.density"] = f"{1.001 * (1 - ticket.rate) ** (halved * int(value)):.4g}"  # that many rounds, at most
        else:
            result[name] = value
    return result


def missing(v: Verdict) -> list[str]:
    """Return what the controls are called that a ticket should have and has not."""
    accepted = [EQUAL] if v.ticket.gradual else EXPECTED  # as a gradual round has no other control
    return [EXPECTED[name] for name in accepted if name not in v.comparisons]


def _more(v: Verdict, seeds: Sequence[int]) -> tuple[str, dict[str, str]]:
    """Return longer training where early stops are censored, more seeds where bounds are too wide."""
    accuracy, epochs, changes, why = v.dense.accuracy, v.ticket.epochs, {}, []
    if v.dense.censored and v.at_most != IN_ACCURACY:
        changes["epochs"] = f"{LONGER * epochs}"
        why.append(f"{LONGER * epochs} epochs instead of {epochs}, so that early stops are seen")
    if not accuracy.bounds or accuracy.bounds[0] < -MARGIN or not why:
        count = seeds_needed(v)
        new = range(seeds[-1] + 1, seeds[-1] + 1 + count - len(seeds))
        changes["seed"] = ",".join(map(str, [*seeds, *new]))
        why.append(f"{'at least ' * (count >= MOST)}{count} seeds instead of {accuracy.n}")
    return ", and ".join(why), changes


def seeds_needed(v: Verdict) -> int:
    """Return how many seeds would show what is not shown, or the contrary, if means stay as they are."""
    accuracy, stop, n = v.dense.accuracy, v.dense.iterations, v.dense.accuracy.n
    if n < 2:
        return FEW
    gaps = [(accuracy.value + MARGIN, accuracy)] + [(v.allowed - stop.value, stop)] * v.dense.speed
    return max(seeds_for(abs(effect), mean.deviation, n, v.tests) for effect, mean in gaps)


def command(recorded: str | None, changes: Mapping[str, str], chain: Mapping[str, object]) -> str:
    """Return the command line ``recorded``, as a shell reads it, with other values of some keys.

    ``chain`` holds the value of one chain for keys of which a sweep lists several. It is no command of a sweeper that optimises.
    """
    words = [word for word in shlex.split(recorded or "") if not word.startswith(("hydra/sweeper=", "hydra.sweeper."))]
    if any("=" not in word and word not in MULTIRUN for word in words):  # of a script
        words = []
    values = dict(word.split("=", 1) for word in words if word not in MULTIRUN)
    values |= {key: str(chain[key]) for key, value in values.items() if "," in value and key in chain}
    values |= changes
    sweep = any(word in MULTIRUN for word in words) or any("," in value for value in changes.values())
    return shlex.join(["python", "-m", "lth.run", *["-m"] * sweep, *(f"{key}={value}" for key, value in values.items())])
