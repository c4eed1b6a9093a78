"""Is it a winning ticket? By the definition of Frankle & Carbin 2019 (arXiv 1803.03635), section 1, with a stated test.

A winning ticket, trained from its own initialisation, reaches at least the dense network's test accuracy at an early-stop
iteration no later. Both are shown by paired t tests over seeds, one-sided 95% each, within a margin (accuracy) and a slack
(iterations), corrected for the densities of a chain. What starts from other weights has other names, see ``Verdict.at_most``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lth.analysis import ends, naming, pairs
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import NOT_SHOWN, Arm, Comparison
from lth.analysis.statistics import ALPHA, holm
from lth.tree.record import Record

WINNING, MATCHING, IN_ACCURACY = "winning", "matching", "matching in accuracy"
CALLED = {WINNING: "winning ticket", MATCHING: "matching subnetwork", IN_ACCURACY: "subnetwork that matches in accuracy"}
MARGIN = 0.005  # the loss of accuracy that still counts as none; of another score in its unit
SLACK = 0.05  # the delay of early stop that still counts as none, a fraction of the dense networks' mean
DENSE, EQUAL = "dense network", "dense network of equal compute"  # trained as long as the ticket's chain
OWN = "this data's own ticket"  # beside one whose masks were found elsewhere, see ``prune.ticket``
NO_CONTROLS = (DENSE, EQUAL, OWN)  # what else a ticket is compared with
NEAR = 0.1  # how far its density may lie from the other's, as a fraction


@dataclass(frozen=True)
class Verdict:
    """A ticket less its dense network and its controls, and what that shows."""

    name: str  # of its chain, for people: model, finetune, what a sweep varied, how it was pruned
    ticket: Record  # of the first seed that is compared
    end: str  # field of a record: where the score is read
    comparisons: dict[str, Comparison]  # with DENSE; with EQUAL, OWN and ``naming.CONTROLS`` where they were trained
    p_corrected: float | None = None  # by Holm, over the densities of the chain that have a p value
    tests: int = 1  # by how many Holm's correction multiplies p, at least

    @property
    def density(self) -> float:
        return self.ticket.density

    @property
    def dense(self) -> Comparison:
        return self.comparisons[DENSE]

    @property
    def at_most(self) -> str:
        """What the ticket may be called at most, by the weights that it starts from.

        Only weights rewound to a random initialisation can be a winning ticket (Frankle & Carbin 2019); from a later checkpoint
        or from pretrained weights they are a matching subnetwork (Frankle et al. 2020, arXiv 1912.05671). A fine-tuned or
        learning-rate-rewound network starts trained, and a gradual one dense, so how soon it stops says nothing: its accuracy
        alone is compared.
        """
        if not self.ticket.isolated:
            return IN_ACCURACY
        return MATCHING if self.ticket.rewind != "init" or self.ticket.pretrained else WINNING

    @property
    def allowed(self) -> float:
        """The delay of early stop, in iterations, that still counts as none."""
        return SLACK * self.dense.other_stop

    @cached_property
    def p(self) -> float | None:
        """The p value of "no less accurate and no later": the larger of both one-sided ones (intersection-union test).

        None where there are less than two pairs, 1 where early stop is to be compared and is censored.
        """
        if self.dense.accuracy.n < 2:
            return None
        p = self.dense.accuracy.p_above(-MARGIN)
        if self.at_most == IN_ACCURACY:
            return p
        return max(p, 1 - self.dense.iterations.p_above(self.allowed)) if self.dense.speed else 1.0

    @property
    def verdict(self) -> str:
        """``at_most``, 'not winning', 'not matching' or 'not shown'."""
        if self.p_corrected is None:
            return NOT_SHOWN
        later = self.dense.speed and self.dense.iterations.bounds[0] > self.allowed
        if self.dense.accuracy.bounds[1] < -MARGIN or later:
            return "not winning" if self.at_most == WINNING else "not matching"
        return self.at_most if self.p_corrected <= ALPHA else NOT_SHOWN

    def no_worse(self, name: str) -> str:
        """Return 'no worse', 'worse' or 'not shown' than what ``comparisons`` calls ``name``, by accuracy alone."""
        other = self.comparisons.get(name)
        low, high = (other and other.accuracy.bounds) or (-1.0, 1.0)
        return "worse" if high < -MARGIN else "no worse" if low > -MARGIN else NOT_SHOWN

    @property
    def called(self) -> str:
        """The noun of ``at_most``, with the name of the score."""
        return CALLED[self.at_most].replace("accuracy", self.word)

    @property
    def word(self) -> str:
        """What sentences call the score that is compared."""
        return ends.word(self.ticket.score)

    def points(self, difference: float, digits: int = 2, sign: str = "+", unit: bool = True) -> str:
        """Return a difference of scores as text: ``+0.12 pp``, or ``+0.0012`` where the score is no accuracy."""
        factor, name = ends.scale(self.ticket.score)
        return f"{factor * difference:{sign}z.{digits if factor == 100 else digits + 2}f}{name * unit}"  # z: no -0.00


def verdicts(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[Verdict]:
    """Return a verdict for each recipe, step and round that has a dense network of its seed; see ``by_chain``."""
    return [v for chain in by_chain(records, accuracy) for v in chain]


def by_chain(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[list[Verdict]]:
    """Return the verdicts of each chain, the densest first; ``accuracy``: one of ``ends.ENDS``."""
    arms, names = pairs.arms(records), naming.headings(records)
    parts: dict[tuple[str, str], list[Verdict]] = {}
    for (recipe, step, index, control), arm in arms.items():
        dense = arms.get((recipe, "", 0, ""), {})
        if not index or control or not arm.keys() & dense.keys():
            continue
        others = {name: arms.get((recipe, step, index, kind), {}) for kind, name in naming.CONTROLS.items()}
        others = {DENSE: dense, EQUAL: _equal(arm, arms), OWN: _own(arm, arms)} | others
        others = {name: other for name, other in others.items() if arm.keys() & other.keys()}
        compared = {name: pairs.compare(arm, other, accuracy) for name, other in others.items()}
        v = Verdict(names[recipe, step], arm[compared[DENSE].seeds[0]], accuracy, compared)
        parts.setdefault((recipe, v.name), []).append(v)
    return [_corrected(sorted(part, key=lambda v: -v.density)) for part in parts.values()]


def _equal(ticket: Arm, arms: dict[pairs.Key, Arm]) -> Arm:
    """Return the dense network that trained as long as the ticket's chain, or the least longer, if any."""
    record = pairs.first(ticket)
    dense = [arm for (_, _, index, _), arm in arms.items() if index == 0]
    longer = [arm for arm in dense if pairs.first(arm).epochs >= record.epochs_in_all]
    alike = [arm for arm in longer if pairs.first(arm).family == record.family and ticket.keys() & arm.keys()]
    return min(alike, key=lambda arm: pairs.first(arm).epochs, default={})


def _own(ticket: Arm, arms: dict[pairs.Key, Arm]) -> Arm:
    """Return, beside a ticket that was found elsewhere, the one of nearest density, within NEAR, that was found on its data."""
    record = pairs.first(ticket)
    found = [arm for (recipe, _, index, control), arm in arms.items() if recipe == record.recipe and index and not control]
    alike = [arm for arm in found if _same_but_masks(pairs.first(arm), record) and ticket.keys() & arm.keys()]
    return min(alike, key=lambda arm: abs(pairs.first(arm).density - record.density), default={})


def _same_but_masks(own: Record, elsewhere: Record) -> bool:
    same = (own.rewind, own.retrain) == (elsewhere.rewind, elsewhere.retrain)
    return same and bool(elsewhere.origin) and not own.origin and abs(own.density / elsewhere.density - 1) <= NEAR


def _corrected(chain: list[Verdict]) -> list[Verdict]:
    """Return the verdicts of a chain with p values corrected over the densities that have one."""
    tested = [v.p for v in chain if v.p is not None]
    corrected = dict(zip(tested, holm(tested)))
    tests = {p: sum(other >= p for other in tested) for p in tested}
    return [replace(v, p_corrected=corrected.get(v.p), tests=tests.get(v.p, 1)) for v in chain]


def sparsest(judged: Iterable[Verdict]) -> Verdict | None:
    """Return the ticket with the fewest weights that is shown to win, or to match where it cannot win."""
    return min((v for v in judged if v.verdict in CALLED), key=lambda v: v.density, default=None)


def nearest(judged: Iterable[Verdict]) -> Verdict | None:
    """Return, of tickets not shown and sparser than that, the one of the highest lower bound of accuracy."""
    best = sparsest(judged)
    waiting = [v for v in judged if v.verdict == NOT_SHOWN and (best is None or v.density < best.density)]
    return max(waiting, key=lambda v: (v.dense.accuracy.bounds or (-math.inf,), -v.density), default=None)
