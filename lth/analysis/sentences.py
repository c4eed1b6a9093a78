"""What the verdicts of a chain come to: a headline, and three sentences: what is shown, what is missed, what would settle it.

The same words stand on the terminal, in verdict.md, in TensorBoard and on top of the report.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lth.analysis import ends, naming, settle
from lth.analysis.compare import CALLED, IN_ACCURACY, NOT_SHOWN, POSITIVE
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import EQUAL, MARGIN, Verdict, by_chain, nearest, sparsest
from lth.tree.record import Record
from lth.tree.settings import varied

ARMS = {"reinit": "re-initialised ones", "shuffle": "shuffled masks", "random": "random masks", "order": "another data order"}


class Account(NamedTuple):
    """``headline`` names the chain and its sparsest ticket, with its controls; the sentences begin with a capital letter."""

    headline: str
    shown: str
    missed: str
    settle: str

    @property
    def sentences(self) -> list[str]:
        return [f"Shown: {self.shown}", f"Missed: {self.missed}", f"To settle it: {self.settle}"]


def accounts(records: Sequence[Record], accuracy: str) -> list[Account]:
    """Return what the verdicts of each chain come to; ``accuracy``: one of ``ends.ENDS``."""
    chains, keys, accounts = naming.chains(records), varied(records), []
    for judged in by_chain(records, accuracy):
        recipe, chain = judged[0].ticket.recipe, chains[judged[0].ticket.step]
        alike = [r for r in records if r.recipe == recipe and (not r.round or chains[r.step] == chain)]
        next_step = settle.sentence(judged, alike, keys)
        accounts.append(Account(_headline(judged), _shown(judged), _missed(judged, alike), next_step))
    return accounts


def called(v: Verdict, verdict: str) -> str:
    """Return the noun of a positive verdict, with the name of the score that was compared."""
    return CALLED[verdict].replace("accuracy", v.word)


def verdict(v: Verdict) -> str:
    """Return the word of a verdict, with the controls that are better than a ticket that it calls good."""
    return v.verdict.replace("accuracy", v.word) + (_against(v) if v.verdict in POSITIVE else "")


def _against(v: Verdict) -> str:
    against = [text for text, worse in (_reinit(v), _matched(v)) if worse]
    return f" against its dense network, but {' and '.join(against)}" if against else ""


def _headline(judged: Sequence[Verdict]) -> str:
    """Return ``NAME: winning ticket at 32.77% of weights (n = 3); ...``: never without what its controls say."""
    best = sparsest(judged)
    if best is None:
        n = max(len(v.dense.seeds) for v in judged)
        none = f"no {called(judged[0], judged[0].at_most)} is shown" if n else "no verdict"
        return f"{judged[0].name}: {none} (n = {n}); {'; '.join(_controls_run(judged))}"
    place = f"{called(best, best.verdict)} at {best.density:.2%} of weights (n = {len(best.dense.seeds)}){_against(best)}"
    return "; ".join([f"{best.name}: {place}", *(text for text, worse in (_reinit(best), _matched(best)) if not worse)])


def _reinit(v: Verdict) -> tuple[str, bool]:
    """Return how a ticket compares with its re-initialised control, and whether that speaks against the ticket."""
    control = v.control("reinit")
    if control is None:
        return "re-initialised control not run", False
    verdicts = {v.word: control.accuracy_verdict, "early stop": control.iterations_verdict}
    better, worse = (" and ".join(name for name, word in verdicts.items() if word == sign) for sign in ("better", "worse"))
    if worse:
        return f"the re-initialised control is better in {worse}", True
    return f"better than re-initialised in {better}" if better else "not shown to be better than re-initialised", False


def _matched(v: Verdict) -> tuple[str, bool]:
    """Return the same of the dense network of equal compute."""
    if v.matched is None:
        return f"{EQUAL} not run", False
    if v.matched_verdict == "worse":
        return f"the {EQUAL} ({v.matched.epochs} epochs) is {v.points(-v.matched.accuracy.value, 1, '')} better", True
    return f"{'not shown to be ' * (v.matched_verdict == NOT_SHOWN)}no worse than the {EQUAL}", False


def _controls_run(judged: Sequence[Verdict]) -> list[str]:
    """Return, of a chain without a ticket to name, how the sparsest ticket beside each control compares with it."""
    texts = []
    for compared, beside in ((_reinit, [v for v in judged if v.control("reinit")]), (_matched, [v for v in judged if v.matched])):
        texts.append(f"{compared(beside[-1])[0]} at {beside[-1].density:.2%}" if beside else compared(judged[-1])[0])
    return texts


def _shown(judged: Sequence[Verdict]) -> str:
    if best := sparsest(judged):
        speed = f" and its early stop no later ({_delay(best)})"
        if best.at_most == IN_ACCURACY:
            speed = "; its weights start trained, so speed is not compared"
        gain = f"{best.title} is no lower than the dense network's ({_gain(best)})"
        return "; ".join(filter(None, [f"at {best.density:.2%} of weights {gain}{speed}", _beats(best, "these tickets")])) + "."
    facts, tested = [], [v for v in judged if v.p is not None]
    if accurate := [v for v in tested if v.dense.accuracy.bounds[0] > -MARGIN]:
        v = accurate[-1]
        facts.append(f"{v.title} is no lower than the dense network's at {v.density:.2%} of weights ({_gain(v)})")
    if sooner := [v for v in tested if v.dense.speed and v.dense.iterations.bounds[1] <= v.allowed]:
        v = sooner[-1]
        facts.append(f"early stop is no later than the dense network's at {v.density:.2%} ({_delay(v)})")
    if worse := [v for v in tested if v.verdict != NOT_SHOWN]:
        facts.append(f"at {worse[0].density:.2%} of weights {_fails(worse[0])}")
    if ahead := [v for v in judged if _beats(v, "")]:
        v = max(ahead, key=lambda v: (len(_better(v)), [c.iterations_verdict for c in v.controls].count("better"), -v.density))
        facts.append(_beats(v, f"tickets at {v.density:.2%} of weights"))
    if not facts:
        return "nothing, neither against the dense network nor against a control."
    return f"{'; '.join(facts)}{' (each at its own 95%)' * (len(facts) > 1)}."


def _gain(v: Verdict) -> str:
    return f"{v.points(v.dense.accuracy.value)}, at least {v.points(v.dense.accuracy.bounds[0], unit=False)}"


def _delay(v: Verdict) -> str:
    return f"{v.dense.iterations.value:+.0f} of {v.dense.other_stop:.0f} iterations, at most {v.dense.iterations.bounds[1]:+.0f}"


def _fails(v: Verdict) -> str:
    mean, high = v.dense.accuracy.value, v.dense.accuracy.bounds[1]
    if high < -MARGIN:
        return f"test {v.word} is lower than the dense network's ({v.points(mean)}, at most {v.points(high, unit=False)})"
    return (
        f"early stop is later than the dense network's ({v.dense.iterations.value:+.0f} of {v.dense.other_stop:.0f} iterations)"
    )


def _better(v: Verdict) -> list[str]:
    """Return the controls that a ticket is more accurate than, and by how much."""
    return [
        f"than {ARMS.get(c.control, c.control)} by {v.points(c.accuracy.value, 1, '')} "
        f"[{', '.join(v.points(bound, 1, '', unit=False) for bound in c.accuracy.interval)}]"
        for c in v.controls
        if c.accuracy_verdict == "better"
    ]


def _beats(v: Verdict, tickets: str) -> str:
    """Return by how much ``tickets`` are better than which controls; '' where they are better than none."""
    more = "more accurate" if v.word == "accuracy" else f"better in {v.word}"
    sooner = [f"than {ARMS.get(c.control, c.control)}" for c in v.controls if c.iterations_verdict == "better"]
    facts = {more: _better(v), "sooner at early stop": sooner}
    facts = [f"{what} {' and '.join(controls)}" for what, controls in facts.items() if controls]
    return f"{tickets} are {' and '.join(facts)}" if facts else ""


def _missed(judged: Sequence[Verdict], records: Sequence[Record]) -> str:
    best, v = sparsest(judged), nearest(judged)
    if v is not None:
        passing = sum(u.verdict == NOT_SHOWN and u.p is not None and u.p <= ALPHA for u in judged)
        before = [f"uncorrected, {passing} of {len(judged)} densities have a p of at most {ALPHA:g}"] if passing else []
        return f"at {v.density:.2%} of weights {'; '.join([*_gaps(v, records), *before])}."
    if best is None:
        return f"no density comes near: at {judged[0].density:.2%}, the densest, {_fails(judged[0])}."
    lost = [f"at {v.density:.2%} of weights {_fails(v)}" for v in judged if v.density < best.density][:1]
    missing = [f"{name} was not run" for name in best.controls_missing.values()]
    return "; ".join([*(lost or ["nothing, but no sparser ticket was tried"]), *missing]) + "."


def _gaps(v: Verdict, records: Sequence[Record]) -> list[str]:
    """Return what a ticket that is not shown misses, and by how much."""
    if not v.dense.seeds:
        return ["there is no dense network of the same recipe and seed to compare with"]
    gaps = [v.note] if v.note else []
    if v.dense.accuracy.bounds and (short := -MARGIN - v.dense.accuracy.bounds[0]) > 0:
        (factor, unit), least = ends.scale(v.ticket.score), 1e-4
        by = v.points(short, sign="") if short >= least else f"less than {v.points(least, sign='')}"
        gaps.append(f"{v.word} misses the margin of {factor * MARGIN:g}{unit} by {by}")
    if v.dense.censored and v.at_most != IN_ACCURACY:
        count = f"{ends.censored(records)} of {len(records)} rounds stopped at the last iteration"
        gaps.append(f"early stop cannot be compared: {count}, and might stop later in a longer training")
    if not v.note and v.dense.speed and v.dense.iterations.bounds[1] > v.allowed:
        late = f"early stop may be {v.dense.iterations.bounds[1]:.0f} iterations later"
        gaps.append(f"{late}, of which {v.allowed:.0f} are allowed")
    holm = "after Holm's correction over the densities of the chain"
    return gaps or [f"p = {v.p:.3f} is {v.p_corrected:.3f} {holm}, above {ALPHA:g}"]
