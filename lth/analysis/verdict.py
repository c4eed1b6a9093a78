"""Is it a winning ticket? By the definition of Frankle & Carbin 2019 (arXiv 1803.03635), section 1, with a stated test.

A winning ticket, trained from its own initialisation, reaches at least the dense network's test accuracy at an early-stop
iteration no later. Both are shown by paired t tests over seeds, one-sided 95% each, within a margin (accuracy) and a slack
(iterations), corrected for the densities of a chain. What starts from other weights has other names, see ``compare.at_most``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lth.analysis import compare, ends, naming, pairs
from lth.analysis.compare import IN_ACCURACY, NOT_MATCHING, NOT_SHOWN, NOT_WINNING, POSITIVE, WINNING
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import Comparison
from lth.analysis.statistics import ALPHA, holm, wilson
from lth.tree.record import Record

MARGIN = 0.005  # the loss of accuracy that still counts as none; of another score in its unit
SLACK = 0.05  # the delay of early stop that still counts as none, a fraction of the dense networks' mean
EQUAL, DENSE = "dense network of equal compute", ("", "dense")


@dataclass(frozen=True)
class Verdict:
    """A ticket less its dense network and its controls, and what that shows."""

    name: str  # of its chain, for people: model, finetune, what a sweep varied, how it was pruned
    ticket: Record  # of one seed, if possible one that the dense network has, too
    end: str  # field of a record: where the score is read
    dense: Comparison
    matched: Comparison | None  # with the compute-matched dense network
    controls: list[Comparison]
    p_corrected: float | None = None  # by Holm, over the densities of the chain that have a p value
    tests: int = 1  # by how many Holm's correction multiplies p, at least

    @property
    def density(self) -> float:
        return self.ticket.density

    @property
    def at_most(self) -> str:
        """What its start allows to call it: 'winning', 'matching' or 'matching in accuracy'."""
        return compare.at_most(self.ticket)

    @property
    def allowed(self) -> float:
        """The delay of early stop, in iterations, that still counts as none."""
        return SLACK * (self.dense.other_stop or 0)

    @cached_property
    def p(self) -> float | None:
        """The p value of "no less accurate and no later": the larger of both one-sided ones (intersection-union test).

        None where there are less than two pairs, 1 where early stop is to be compared and is censored.
        """
        accuracy, stop = self.dense.accuracy, self.dense.iterations
        if accuracy.n < 2:
            return None
        p = accuracy.p_above(-MARGIN)
        if self.at_most == IN_ACCURACY:
            return p
        return max(p, stop.p_above(-self.allowed, sign=-1)) if self.dense.speed else 1.0

    @property
    def verdict(self) -> str:
        """``at_most``, 'not winning', 'not matching' or 'not shown'."""
        if self.p_corrected is None:
            return NOT_SHOWN
        later = self.dense.speed and self.dense.iterations.bounds[0] > self.allowed
        if self.dense.accuracy.bounds[1] < -MARGIN or later:
            return NOT_WINNING if self.at_most == WINNING else NOT_MATCHING
        return self.at_most if self.p_corrected <= ALPHA else NOT_SHOWN

    @property
    def matched_verdict(self) -> str:
        """'no worse', 'worse' or 'not shown' than the compute-matched dense network, by accuracy alone."""
        low, high = (self.matched and self.matched.accuracy.bounds) or (-1.0, 1.0)
        return "worse" if high < -MARGIN else "no worse" if low > -MARGIN else NOT_SHOWN

    @property
    def note(self) -> str:
        """What a single seed shows, '' with more or fewer of them."""
        if len(self.dense.seeds) != 1:
            return ""
        score, images = getattr(self.ticket, self.end), self.ticket.images.get("test")
        if self.ticket.score != "acc" or not images:
            return "one seed shows nothing"
        low, high = wilson(score * images, images)
        return (
            f"one seed shows nothing beyond its binomial interval: test accuracy {score:.2%} of {images} images, "
            f"{low:.2%} to {high:.2%} (Wilson, 95%)"
        )

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """All comparisons by the name of the other arm, as tables and figures call it."""
        named = {naming.CONTROLS.get(c.control, c.control): c for c in self.controls}
        return {"dense network": self.dense, **({EQUAL: self.matched} if self.matched else {}), **named}

    @property
    def word(self) -> str:
        """What sentences call the score that is compared."""
        return ends.word(self.ticket.score)

    @property
    def title(self) -> str:
        return ends.title(self.end, self.ticket.score)

    def points(self, difference: float, digits: int = 2, sign: str = "+", unit: bool = True) -> str:
        """Return a difference of scores as text: ``+0.12 pp``, or ``+0.0012`` where the score is no accuracy."""
        factor, name = ends.scale(self.ticket.score)
        digits += 0 if factor == 100 else 2
        return f"{round(factor * difference, digits) + 0.0:{sign}.{digits}f}{name * unit}"  # + 0.0: no -0.00

    def control(self, name: str) -> Comparison | None:
        """Return the comparison with a control, None where it was not run."""
        return next((c for c in self.controls if c.control == name), None)

    @property
    def controls_missing(self) -> dict[str, str]:
        """The controls that a ticket should have and has not: name -> what it is called."""
        reinit = {} if self.control("reinit") else {"reinit": "the re-initialised control"}
        return reinit if self.matched else reinit | {"dense": f"the {EQUAL}"}


def verdicts(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[Verdict]:
    """Return a verdict for each recipe, step and round of a list of records, the densest ticket first; see ``by_chain``."""
    return sorted((v for chain in by_chain(records, accuracy) for v in chain), key=lambda v: -v.density)


def by_chain(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[list[Verdict]]:
    """Return the verdicts of each chain, the densest first, with Holm's correction over its densities.

    Args:
        accuracy: one of ``ends.ENDS``: 'early_stop_test_acc' (the paper's), 'test_acc' (last epoch) or 'best_test_acc' (best
            validation accuracy).

    Raises:
        ValueError: for another accuracy.
    """
    if accuracy not in ends.ENDS:
        raise ValueError(f"accuracy={accuracy} is not accepted; it takes {', '.join(ends.ENDS)}.")
    arms, chains, names = pairs.arms(records), naming.chains(records), naming.headings(records)
    dense_arms = [arm for (_, _, index, _), arm in arms.items() if index == 0]
    controls = dict.fromkeys(control for *_, control in arms if control)
    parts: dict[tuple[str, str], list[Verdict]] = {}
    for (recipe, step, index, control), arm in arms.items():
        if index and not control:
            dense = arms.get((recipe, "", 0, ""), {})
            longer, with_dense = pairs.matched(arm, dense, dense_arms), pairs.compare(arm, dense, accuracy)
            ticket = arm[with_dense.seeds[0]] if with_dense.seeds else pairs.first(arm)
            matched = pairs.compare(arm, longer, accuracy, "dense") if longer else None
            others = {name: arms[key] for name in controls if (key := (recipe, step, index, name)) in arms}
            beside = [pairs.compare(arm, other, accuracy, name) for name, other in others.items()]
            v = Verdict(names[recipe, step], ticket, accuracy, with_dense, matched, beside)
            parts.setdefault((recipe, chains[step]), []).append(v)
    return [_corrected(sorted(part, key=lambda v: -v.density)) for part in parts.values()]


def _corrected(chain: list[Verdict]) -> list[Verdict]:
    """Return the verdicts of a chain with p values corrected over the densities that have one."""
    tested = [v.p for v in chain if v.p is not None]
    corrected = dict(zip(tested, holm(tested)))
    return [replace(v, p_corrected=corrected.get(v.p), tests=sum(p >= (v.p or 0) for p in tested) or 1) for v in chain]


def sparsest(judged: Sequence[Verdict]) -> Verdict | None:
    """Return the ticket with the fewest weights remaining that is shown to win, or to match where it cannot win, if any is."""
    return min((v for v in judged if v.verdict in POSITIVE), key=lambda v: v.density, default=None)


def nearest(judged: Sequence[Verdict]) -> Verdict | None:
    """Return the ticket that is nearest to be shown, None where nothing is open.

    Of those that are not shown and sparser than the sparsest good one it has the highest lower bound of accuracy.
    """
    best = sparsest(judged)
    waiting = [v for v in judged if v.verdict == NOT_SHOWN and (best is None or v.density < best.density)]
    return max(waiting, key=lambda v: (v.dense.accuracy.bounds or (-math.inf,), -v.density), default=None)


@dataclass(frozen=True)
class Row:
    """A line of a forest plot: a ticket's mean score less that of another arm, in fractions or the unit of the score."""

    name: str  # of the chain
    density: float
    other: str  # a key of ``Verdict.comparisons``
    n: int
    mean: float
    interval: tuple[float, float] | None  # two-sided 95%; None with one seed
    margin: float | None  # the loss that still counts as none; None for the controls, which are compared without one


def differences(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[Row]:
    """Return the paired differences of all tickets, by chain, the densest first: less the dense network, less each control."""
    return [
        Row(v.name, v.density, name, c.accuracy.n, c.accuracy.value, c.accuracy.interval, MARGIN if c.control in DENSE else None)
        for chain in by_chain(records, accuracy)
        for v in chain
        for name, c in v.comparisons.items()
        if c.seeds
    ]
