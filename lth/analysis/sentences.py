"""What the verdicts of a chain come to: a headline; what is shown, what is missed, what would settle it.

The same words stand on the terminal, in verdict.md, in TensorBoard and on top of the report.
"""

from collections.abc import Sequence

from scipy.stats import binomtest

from lth.analysis import ends, naming, settle
from lth.analysis.pairs import NOT_SHOWN
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import CALLED, EQUAL, IN_ACCURACY, MARGIN, NO_CONTROLS, OWN, Verdict, by_chain, nearest, sparsest
from lth.tree.record import Record
from lth.tree.settings import varied

REINIT = naming.CONTROLS["reinit"]


def accounts(records: Sequence[Record], accuracy: str) -> list[tuple[str, str, str, str]]:
    """Return for each chain a headline and the sentences Shown, Missed and To settle it."""
    names, keys, result = naming.headings(records), varied(records), []
    for judged in by_chain(records, accuracy):
        name, recipe = judged[0].name, judged[0].ticket.recipe
        alike = [r for r in records if r.recipe == recipe and (not r.round or names[recipe, r.step] == name)]
        shown, missed, next_step = _shown(judged), _missed(judged, alike), settle.sentence(judged, alike, keys)
        result.append((_headline(judged), f"Shown: {shown}", f"Missed: {missed}", f"To settle it: {next_step}"))
    return result


def _headline(judged: Sequence[Verdict]) -> str:
    """Return ``NAME: winning ticket at 32.77% of weights (n = 3); ...``: never without what its controls say."""
    best = sparsest(judged)
    place = f"{best.called} at {best.density:.2%} of weights" if best else f"no {judged[0].called} is shown"
    n = max(v.dense.accuracy.n for v in judged if not best or v is best)
    parts = [f"{judged[0].name}: {place} (n = {n})"]
    for control, compared in ((REINIT, _reinit), (EQUAL, _equal))[judged[0].ticket.gradual :]:  # no other start to compare
        # where no ticket is shown, the control is that of the sparsest ticket that has it
        beside = [v for v in judged if control in v.comparisons and (not best or v is best)]
        at = f" at {beside[-1].density:.2%}" if beside and not best else ""
        parts.append(compared(beside[-1]) + at if beside else f"{settle.EXPECTED[control]} not run")
    return "; ".join(parts + [_own(judged)] * bool(judged[0].ticket.origin))


def _own(judged: Sequence[Verdict]) -> str:
    """Return how tickets that were found elsewhere do beside those found on the data that they are trained on."""
    said = {"no worse": "no worse", "worse": "less accurate", NOT_SHOWN: "not shown to be no worse"}
    places = [f"{words} at {where}" for verdict, words in said.items() if (where := _beside_own(judged, verdict))]
    each = " (each at its own 95%)" * (sum(OWN in v.comparisons for v in judged) > 1)
    return f"beside {OWN} {', '.join(places)}{each}" if places else f"{OWN} not run"


def _beside_own(judged: Sequence[Verdict], verdict: str) -> str:
    """Return the densities at which tickets have a verdict beside this data's own: '50.00%, 25.00%'."""
    return ", ".join(f"{v.density:.2%}" for v in judged if OWN in v.comparisons and v.no_worse(OWN) == verdict)


def _reinit(v: Verdict) -> str:
    c = v.comparisons[REINIT]
    verdicts = {v.word: c.accuracy_verdict, "early stop": c.iterations_verdict}
    better = " and ".join(name for name, word in verdicts.items() if word == "better")
    worse = " and ".join(name for name, word in verdicts.items() if word == "worse")
    if worse:
        return f"but the re-initialised control is better in {worse}"
    return f"better than re-initialised in {better}" if better else "not shown to be better than re-initialised"


def _equal(v: Verdict) -> str:
    equal = v.comparisons[EQUAL]
    if v.no_worse(EQUAL) == "worse":
        return f"but the {EQUAL} ({equal.epochs} epochs) is {v.points(-equal.accuracy.value, 1, '')} better"
    return f"{'not shown to be ' * (v.no_worse(EQUAL) == NOT_SHOWN)}no worse than the {EQUAL}"


def _shown(judged: Sequence[Verdict]) -> str:
    best, facts = sparsest(judged), []
    tested = [best] if best else [v for v in judged if v.p is not None]
    if accurate := [v for v in tested if v.dense.accuracy.bounds[0] > -MARGIN]:
        v, gain = accurate[-1], accurate[-1].dense.accuracy
        by = f"{v.points(gain.value)}, at least {v.points(gain.bounds[0], unit=False)}"
        title = ends.title(v.end, v.ticket.score)
        facts.append(f"{title} is no lower than the dense network's at {v.density:.2%} of weights ({by})")
    if sooner := [v for v in tested if v.dense.speed and v.dense.iterations.bounds[1] <= v.allowed]:
        v, delay = sooner[-1], sooner[-1].dense.iterations
        by = f"{delay.value:+z.0f} of {v.dense.other_stop:.0f} iterations, at most {delay.bounds[1]:+z.0f}"
        facts.append(f"early stop is no later than the dense network's at {v.density:.2%} ({by})")
    if best and best.at_most == IN_ACCURACY:
        why = "it is pruned while it trains" if best.ticket.gradual else "its weights start trained"
        facts.append(f"{why}, so speed is not compared")
    if worse := [v for v in tested if v.verdict not in (NOT_SHOWN, *CALLED)]:
        facts.append(f"at {worse[0].density:.2%} of weights {_fails(worse[0])}")
    v = best or max(judged, key=lambda v: (len(_better(v)), -v.density))
    if better := _better(v):
        facts.append(f"tickets at {v.density:.2%} of weights are better {', '.join(better)}")
    if where := _beside_own(judged, "no worse"):
        facts.append(f"tickets at {where} of weights are no less accurate than {OWN}")
    if not facts:
        return "nothing, neither against the dense network nor against a control."
    return f"{'; '.join(facts)}{' (each at its own 95%)' * (len(facts) > 1 and not best)}."


def _better(v: Verdict) -> list[str]:
    """Return which controls a ticket is better than, and in what."""
    facts = []
    for name, c in v.comparisons.items():
        if name not in NO_CONTROLS and c.accuracy_verdict == "better":
            bounds = ", ".join(v.points(bound, 1, "", unit=False) for bound in c.accuracy.interval)
            facts.append(f"than {name} in {v.word} by {v.points(c.accuracy.value, 1, '')} [{bounds}]")
        if name not in NO_CONTROLS and c.iterations_verdict == "better":
            facts.append(f"than {name} in early stop")
    return facts


def _fails(v: Verdict) -> str:
    accuracy, stop = v.dense.accuracy, v.dense.iterations
    if accuracy.bounds[1] < -MARGIN:
        by = f"{v.points(accuracy.value)}, at most {v.points(accuracy.bounds[1], unit=False)}"
        return f"test {v.word} is lower than the dense network's ({by})"
    return f"early stop is later than the dense network's ({stop.value:+z.0f} of {v.dense.other_stop:.0f} iterations)"


def _missed(judged: Sequence[Verdict], records: Sequence[Record]) -> str:
    best, v = sparsest(judged), nearest(judged)
    if v:
        passing = sum(u.verdict == NOT_SHOWN and u.p is not None and u.p <= ALPHA for u in judged)
        alone = f"uncorrected, {passing} of {len(judged)} densities have a p of at most {ALPHA:g}"
        return f"at {v.density:.2%} of weights {'; '.join(_gaps(v, records) + [alone] * (passing > 0))}."
    failing = [f"at {v.density:.2%} of weights {_fails(v)}" for v in judged if best is None or v.density < best.density]
    missing = [f"the {name} was not run" for name in settle.missing(best)] if best else []
    return "; ".join([*(failing[:1] or ["nothing, but no sparser ticket was tried"]), *missing]) + "."


def _gaps(v: Verdict, records: Sequence[Record]) -> list[str]:
    """Return what a ticket that is not shown misses, and by how much."""
    accuracy, stop, gaps = v.dense.accuracy, v.dense.iterations, []
    if accuracy.n == 1:
        gaps.append(_one_seed(v))
    elif (short := -MARGIN - accuracy.bounds[0]) > 0:
        factor, unit = ends.scale(v.ticket.score)
        gaps.append(f"{v.word} misses the margin of {factor * MARGIN:g}{unit} by {factor * short:.2g}{unit}")
    if v.dense.censored and v.at_most != IN_ACCURACY:
        count = f"{ends.censored(records)} of {len(records)} rounds stopped at the last iteration"
        gaps.append(f"early stop cannot be compared: {count}, and might stop later in a longer training")
    elif v.dense.speed and accuracy.n > 1 and stop.bounds[1] > v.allowed:
        gaps.append(f"early stop may be {stop.bounds[1]:.0f} iterations later, of which {v.allowed:.0f} are allowed")
    holm = "after Holm's correction over the densities of the chain"
    return gaps or [f"p = {v.p:.3f} is {v.p_corrected:.3f} {holm}, above {ALPHA:g}"]


def _one_seed(v: Verdict) -> str:
    score, images = getattr(v.ticket, v.end), v.ticket.images.get("test")
    if v.ticket.score != "acc" or not images:
        return "one seed shows nothing"
    interval = binomtest(round(score * images), images).proportion_ci(method="wilson")  # Wilson 1927, JASA 22:209
    return (
        f"one seed shows nothing beyond its binomial interval: test accuracy {score:.2%} of {images} images, "
        f"{interval.low:.2%} to {interval.high:.2%} (Wilson, 95%)"
    )
