"""What the verdicts of a chain come to: a headline, and three sentences: what is shown, what is missed, what would settle it.

The same words stand on the terminal, in verdict.md, in TensorBoard and on top of the report.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lth.analysis import ends, naming, settle
from lth.analysis.compare import CALLED, IN_ACCURACY, NOT_SHOWN, POSITIVE, Control
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import Verdict, sparsest


@dataclass(frozen=True)
class Account:
    """``headline`` names the chain and its sparsest ticket, with its controls; the sentences begin with a capital letter."""

    headline: str
    shown: str
    missed: str
    settle: str

    @property
    def sentences(self) -> list[str]:
        return [f"Shown: {self.shown}", f"Missed: {self.missed}", f"To settle it: {self.settle}"]


def account(judged: Sequence[Verdict], records: Sequence[dict[str, Any]], varied: Sequence[str] = ()) -> Account:
    """What the verdicts of one chain come to.

    Args:
        judged: of one chain, see ``verdict.by_chain``; one or more.
        records: of this chain: tickets, controls and dense networks.
        varied: the keys of the configuration in which chains differ, see ``naming.varied``.
    """
    return Account(headline(judged), _shown(judged), _missed(judged, records), _settle(judged, records, varied))


def headline(judged: Sequence[Verdict]) -> str:
    """``NAME: winning ticket at 32.77% of weights (n = 3); ...``: never without what its controls say."""
    best = sparsest(judged)
    n = max(len(v.seeds) for v in judged)
    if best is None:
        name = CALLED[judged[0].at_most]
        none = "no verdict" if n == 0 else f"no {name} is shown"
        return f"{judged[0].name}: {none} (n = {n}); {'; '.join(_controls_run(judged))}"
    return f"{best.name}: {CALLED[best.verdict]} at {best.density:.2%} of weights (n = {len(best.seeds)}){beside(best)}"


def beside(v: Verdict) -> str:
    """What is to be said beside a good verdict: how the ticket compares with its controls; each not run is said as not run."""
    against, beaten = [], []
    for word, worse in (_reinit(v), _matched(v)):
        (against if worse else beaten).append(word)
    but = f" against its dense network, but {' and '.join(against)}" if against else ""
    return but + "".join(f"; {word}" for word in beaten)


def verdict(v: Verdict) -> str:
    """The word of a verdict, with the controls that are better than a ticket that it calls good."""
    against = [word for word, worse in (_reinit(v), _matched(v)) if worse]
    return (
        f"{v.verdict} against the dense network, but {' and '.join(against)}" if against and v.verdict in POSITIVE else v.verdict
    )


def _reinit(v: Verdict) -> tuple[str, bool]:
    found = next((c for c in v.controls if c.control == "reinit"), None)
    if found is None:
        return "re-initialised control not run", False
    better, worse = _where(found, "better"), _where(found, "worse")
    if worse:
        return f"the re-initialised control is better in {worse}", True
    return f"better than re-initialised in {better}" if better else "not shown to be better than re-initialised", False


def _where(control: Control, word: str) -> str:
    found = [("accuracy", control.accuracy_verdict), ("early stop", control.iterations_verdict)]
    return " and ".join(name for name, verdict in found if verdict == word)


def _matched(v: Verdict) -> tuple[str, bool]:
    name = "dense network of equal compute"
    if v.matched is None:
        return f"{name} not run", False
    if v.matched.verdict == "worse":
        return f"the {name} ({v.matched.epochs} epochs) is {_pp(-v.matched.accuracy.mean)} better", True
    return f"{'not shown to be ' * (v.matched.verdict == NOT_SHOWN)}no worse than the {name}", False


def _controls_run(judged: Sequence[Verdict]) -> list[str]:
    """Of a chain without a ticket to name: where controls were run, how the sparsest ticket beside them compares."""
    with_reinit = [v for v in judged if any(c.control == "reinit" for c in v.controls)]
    with_matched = [v for v in judged if v.matched]
    words = [_reinit((with_reinit or judged)[-1])[0], _matched((with_matched or judged)[-1])[0]]
    places = [with_reinit[-1:], with_matched[-1:]]
    return [f"{word} at {at[0].density:.2%}" if at else word for word, at in zip(words, places)]


def _shown(judged: Sequence[Verdict]) -> str:
    best = sparsest(judged)
    if best is not None:
        facts = [f"at {best.density:.2%} of weights {_reaches(best)}", *filter(None, [_beats(best, "there")])]
        return f"{'; '.join(facts)}."
    facts = []
    tested = [v for v in judged if v.accuracy.bounds]
    if accurate := [v for v in tested if v.accuracy.lower > -v.margin]:
        v = accurate[-1]
        facts.append(f"{ends.title(v.end)} is no lower than the dense network's at {v.density:.2%} of weights ({_gain(v)})")
    if sooner := [v for v in tested if v.at_most != IN_ACCURACY and not v.censored and v.iterations.upper <= v.allowed]:
        v = sooner[-1]
        facts.append(f"early stop is no later than the dense network's at {v.density:.2%} ({_delay(v)})")
    if worse := [v for v in tested if v.verdict not in (*POSITIVE, NOT_SHOWN)]:
        facts.append(f"at {worse[0].density:.2%} of weights {_fails(worse[0])}")
    if ahead := [v for v in judged if _beats(v, "")]:
        most = max(ahead, key=lambda v: (_count(v, "accuracy_verdict"), _count(v, "iterations_verdict"), -v.density))
        facts.append(_beats(most, f"at {most.density:.2%} of weights"))
    if not facts:
        return "nothing, neither against the dense network nor against a control."
    return f"{'; '.join(facts)}{' (each at its own 95%)' * (len(facts) > 1)}."


def _count(v: Verdict, what: str) -> int:
    return sum(getattr(control, what) == "better" for control in v.controls)


def _delay(v: Verdict) -> str:
    return f"{v.iterations.mean:+.0f} of {v.dense_iterations:.0f} iterations, at most {v.iterations.upper:+.0f}"


def _reaches(v: Verdict) -> str:
    said = f"{ends.title(v.end)} is no lower than the dense network's ({_gain(v)})"
    if v.at_most == IN_ACCURACY:
        return f"{said}; its weights start trained, so speed is not compared"
    return f"{said} and its early stop no later ({_delay(v)})"


def _gain(v: Verdict) -> str:
    return f"{100 * v.accuracy.mean:+.2f} pp, at least {100 * v.accuracy.lower:+.2f}"


def _fails(v: Verdict) -> str:
    if v.accuracy.upper < -v.margin:
        gap = f"{100 * v.accuracy.mean:+.2f} pp, at most {100 * v.accuracy.upper:+.2f}"
        return f"test accuracy is lower than the dense network's ({gap})"
    return f"early stop is later than the dense network's ({v.iterations.mean:+.0f} of {v.dense_iterations:.0f} iterations)"


def _beats(v: Verdict, where: str) -> str:
    """By how much a ticket is better than which controls; '' where it is better than none."""
    found = [
        f"than {_name(c)} by {_pp(c.accuracy.mean)} [{100 * c.accuracy.lower:.1f}, {100 * c.accuracy.upper:.1f}]"
        for c in v.controls
        if c.accuracy_verdict == "better"
    ]
    sooner = [_name(c) for c in v.controls if c.iterations_verdict == "better"]
    said = [f"more accurate {' and '.join(found)}"] if found else []
    said += [f"sooner at early stop than {' and '.join(sooner)}"] if sooner else []
    return f"tickets {where} are {' and '.join(said)}".replace("  ", " ") if said else ""


def _name(c: Control) -> str:
    names = {
        "reinit": "re-initialised ones",
        "shuffle": "shuffled masks",
        "random": "random masks",
        "order": "another data order",
    }
    return names.get(c.control, c.control)


def _pp(fraction: float) -> str:
    return f"{100 * fraction:.1f} pp"


def open_one(judged: Sequence[Verdict]) -> Verdict | None:
    """The ticket that is nearest to be shown: of those not shown, sparser than the sparsest good one, that with the highest
    lower bound of accuracy; None where nothing is open."""
    best = sparsest(judged)
    waiting = [v for v in judged if v.verdict == NOT_SHOWN and (best is None or v.density < best.density)]
    return max(waiting, key=lambda v: (v.accuracy.bounds is not None, v.accuracy.lower or 0.0, -v.density), default=None)


def _missed(judged: Sequence[Verdict], records: Sequence[dict[str, Any]]) -> str:
    best, v = sparsest(judged), open_one(judged)
    if v is not None:
        passing = sum(u.verdict == NOT_SHOWN and u.p is not None and u.p <= ALPHA for u in judged)
        before = [f"uncorrected, {passing} of {len(judged)} densities have a p of at most {ALPHA:g}"] if passing else []
        return f"at {v.density:.2%} of weights {'; '.join([*_gaps(v, records), *before])}."
    if best is None:
        return f"no density comes near: at {judged[0].density:.2%}, the densest, {_fails(judged[0])}."
    sparser = [v for v in judged if v.density < best.density]
    lost = (
        f"at {sparser[0].density:.2%} of weights {_fails(sparser[0])}" if sparser else "nothing, but no sparser ticket was tried"
    )
    absent = _absent(best)
    return "; ".join([lost, *(f"{name} was not run" for name in absent.values())]) + "."


def _absent(v: Verdict) -> dict[str, str]:
    """The controls that a ticket should have and does not: name -> what it is called."""
    found = {} if any(c.control == "reinit" for c in v.controls) else {"reinit": "the re-initialised control"}
    return found if v.matched else found | {"dense": "the dense network of equal compute"}


def _gaps(v: Verdict, records: Sequence[dict[str, Any]]) -> list[str]:
    """What a ticket that is not shown misses, and by how much."""
    if not v.seeds:
        return ["there is no dense network of the same recipe and seed to compare with"]
    if v.note:
        return [v.note, *_unseen(v, records)]
    found = []
    if v.accuracy.lower < -v.margin:
        short = 100 * (-v.margin - v.accuracy.lower)
        found.append(
            f"accuracy misses the margin of {100 * v.margin:g} pp by {f'{short:.2f}' if short >= 0.01 else 'less than 0.01'} pp"
        )
    found += _unseen(v, records)
    if v.at_most != IN_ACCURACY and not v.censored and v.iterations.upper > v.allowed:
        late = f"early stop may be {v.iterations.upper:.0f} iterations later, of which {v.allowed:.0f} are allowed"
        found.append(late)
    alone = f"p = {v.p:.3f} is {v.p_corrected:.3f} after Holm's correction over the densities of the chain, above {ALPHA:g}"
    return found or [alone]


def _unseen(v: Verdict, records: Sequence[dict[str, Any]]) -> list[str]:
    if not v.censored or v.at_most == IN_ACCURACY:
        return []
    count = f"{ends.censored(records)} of {len(records)} rounds stopped at the last iteration"
    return [f"early stop cannot be compared: {count}, and might stop later in a longer training"]


def _settle(judged: Sequence[Verdict], records: Sequence[dict[str, Any]], varied: Sequence[str]) -> str:
    best, v = sparsest(judged), open_one(judged)
    about = v or best or judged[0]
    tickets = [r for r in records if (r["step"], r["round"]) == (about.step, about.round) and not naming.control(r)]
    last = max(tickets, key=lambda r: (bool(r.get("command")), str(r.get("finished") or "")))
    why, changes = _open(v, last) if v else _deeper(best, last) if best else _denser(last)
    known = sorted({r["seed"] for r in records if r["round"] or not naming.control(r)})
    changes = changes if "seed" in changes or len(known) < 2 else {"seed": settle.listed(known, 0)} | changes
    return f"{why}: `{settle.command(last.get('command'), changes, settle.own(last, varied))}`"


def _open(v: Verdict, last: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Longer training where early stops are censored, more seeds where bounds are too wide."""
    changes, why = {}, []
    if not v.seeds:
        return "train the dense networks", changes
    if v.censored and v.at_most != IN_ACCURACY and last.get("epochs"):
        longer = settle.LONGER * last["epochs"]
        changes["epochs"] = f"{longer:g}"
        why.append(f"{longer:g} epochs instead of {last['epochs']:g}, so that early stops are seen")
    wide = not v.accuracy.bounds or v.accuracy.lower < -v.margin or not why
    if wide:
        count, enough = settle.seeds(v)
        changes["seed"] = settle.listed(v.seeds, count)
        few = "" if enough else "; more are needed for a chance of 80%"
        why.append(f"{count} seeds instead of {len(v.seeds)}{few}{_leaning(v)}")
    return ", and ".join(why), changes


def _leaning(v: Verdict) -> str:
    """What more seeds would show if the means, which are no bounds, stay beyond what is allowed."""
    later = v.at_most != IN_ACCURACY and not v.censored and v.allowed < (v.iterations.mean or 0)
    lower = (v.accuracy.mean or 0) < -v.margin
    return f", which are likelier to show that it is not {v.at_most}" if v.accuracy.bounds and (later or lower) else ""


def _deeper(best: Verdict, last: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The controls that are missing; where none is, sparser tickets."""
    if absent := _absent(best):
        kinds = [*(c.control for c in best.controls), *["dense"] * bool(best.matched), *absent]
        asked = {"prune.controls": "+".join(kinds), "prune.control_rounds": f"{best.round}"}
        return f"run {' and '.join(absent.values())}", asked
    return "nothing is open here; for sparser tickets", {"prune.rounds": f"{last['round'] * last['levels'] + settle.DEEPER}"}


def _denser(last: dict[str, Any]) -> tuple[str, dict[str, str]]:
    return "more seeds would not change that; for denser tickets", {"prune.rate": f"{last['rate'] / 2:g}"}
