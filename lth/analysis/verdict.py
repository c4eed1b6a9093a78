"""Is it a winning ticket? By the definition of Frankle & Carbin 2019 (arXiv 1803.03635), section 1, with a stated test.

A winning ticket, trained from its own initialisation, reaches at least the dense network's test accuracy at an early-stop
iteration no later. Both are shown by paired t tests over seeds, one-sided 95% each, within a margin (accuracy) and a slack
(iterations), corrected for the densities of a chain. What starts from other weights has other names, see ``compare.at_most``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from lth.analysis import compare, ends, naming, pairs
from lth.analysis.compare import Control, Matched
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import Arm, Difference
from lth.analysis.statistics import holm, paired_bounds, wilson

MARGIN, SLACK = 0.005, 0.05


@dataclass(frozen=True)
class Verdict:
    """A ticket less the dense network; ``dataclasses.asdict`` makes it JSON."""

    recipe: str
    step: str
    round: int
    density: float
    name: str  # of its chain, for people: model, finetune, what a sweep varied, how it was pruned
    seeds: list[int]
    dropped: list[int]  # seeds that are in one arm alone
    end: str  # field of a record: the accuracy that is compared
    accuracy: Difference  # fraction, one-sided 95% bounds
    margin: float  # the loss of accuracy that still counts as none
    iterations: Difference  # of early stop, one-sided 95% bounds
    dense_iterations: float | None  # the dense networks' mean early-stop iteration
    allowed: float  # the delay of early stop, in iterations, that still counts as none
    censored: int  # of the 2n rounds compared, those that stopped at their last validation
    at_most: str  # what its start allows to call it: 'winning', 'matching', 'matching in accuracy'
    p: float | None  # of being ``at_most``; None with less than two seeds
    p_corrected: float | None  # by Holm, over the densities of the chain that have a p value
    tests: int  # by how many Holm's correction multiplies p, at least
    verdict: str  # ``at_most``, 'not winning', 'not matching' or 'not shown'
    note: str  # what one seed shows, else ''
    matched: Matched | None
    controls: list[Control]


def verdicts(
    records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK
) -> list[Verdict]:
    """A verdict for each recipe, step and round of a list of records, the densest ticket first.

    Args:
        accuracy: one of ``ends.ENDS``: 'early_stop_test_acc' (the paper's), 'test_acc' (last epoch) or 'best_test_acc' (best
            validation accuracy).
        margin: the loss of accuracy, a fraction, that still counts as none.
        slack: the delay of early stop, a fraction of the dense network's mean, that still counts as none.

    Raises:
        ValueError: for another accuracy, or a negative margin or slack.
    """
    if accuracy not in ends.ENDS or margin < 0 or slack < 0:
        raise ValueError(f"accuracy={accuracy}, margin={margin}, slack={slack}: {' or '.join(ends.ENDS)}, and 0 or more.")
    return sorted((v for chain in by_chain(records, accuracy, margin, slack) for v in chain), key=lambda v: -v.density)


def by_chain(
    records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK
) -> list[list[Verdict]]:
    """The verdicts of each chain, the densest first, with Holm's correction over its densities; arguments as of ``verdicts``."""
    found, chains, names = pairs.arms(records), naming.chains(records), naming.headings(records)
    kin: dict[tuple[str, str, int], dict[pairs.Key, Arm]] = {}  # a search of all arms for each verdict would be quadratic
    for key, arm in found.items():
        kin.setdefault(key[:3], {})[key] = arm
    dense = {key: arm for key, arm in found.items() if key[2] == 0}
    parts: dict[tuple[str, str], list[Verdict]] = {}
    for key in found:
        if key[2] > 0 and key[3] == "":
            verdict = _measured(dense | kin[key[:3]], key, names[key[:2]], accuracy, margin, slack)
            parts.setdefault((verdict.recipe, chains[verdict.step]), []).append(verdict)
    return [_judged(sorted(part, key=lambda v: -v.density)) for part in parts.values()]


def _measured(found: dict[pairs.Key, Arm], key: pairs.Key, name: str, accuracy: str, margin: float, slack: float) -> Verdict:
    """All of a verdict that the other densities of its chain do not change; as yet NOT_SHOWN."""
    recipe, step, index, _ = key
    ticket, dense = found[key], found.get((recipe, "", 0, ""), {})
    first = next(iter(ticket.values()))
    seeds, dropped = pairs.shared(ticket, dense)
    accurate = pairs.difference(ticket, dense, accuracy, paired_bounds)
    sooner = pairs.difference(ticket, dense, "early_stop_iteration", paired_bounds)
    mean = fmean(dense[seed]["early_stop_iteration"] for seed in seeds) if seeds else None
    allowed = slack * mean if mean is not None else 0.0
    unseen = pairs.unended(*({seed: arm[seed] for seed in seeds} for arm in (ticket, dense)))
    at_most = compare.at_most(first, next(iter(dense.values()), {}))
    return Verdict(
        recipe=recipe,
        step=step,
        round=index,
        density=first["density"],
        name=name,
        seeds=seeds,
        dropped=dropped,
        end=accuracy,
        accuracy=accurate,
        margin=margin,
        iterations=sooner,
        dense_iterations=mean,
        allowed=allowed,
        censored=unseen,
        at_most=at_most,
        p=compare.p_value(at_most, accurate, margin, sooner, allowed, unseen),
        p_corrected=None,
        tests=1,
        verdict=compare.NOT_SHOWN,
        note=_one_seed(ticket[seeds[0]], accuracy) if len(seeds) == 1 else "",
        matched=compare.against_matched(ticket, pairs.matched(ticket, dense, found), accuracy, margin),
        controls=[compare.against_control(ticket, arm, accuracy) for k, arm in found.items() if k[:3] == key[:3] and k[3]],
    )


def _judged(measured: list[Verdict]) -> list[Verdict]:
    """The verdicts of a chain: p values are corrected over the densities that have one."""
    tested = [v for v in measured if v.p is not None]
    corrected = {(v.step, v.round): p for v, p in zip(tested, holm([v.p for v in tested]))}
    judged = []
    for v in measured:
        p = corrected.get((v.step, v.round))
        tests = sum(other.p >= v.p for other in tested) if v.p is not None else max(1, len(tested))
        word = compare.against_dense(v.at_most, v.accuracy, v.margin, v.iterations, v.allowed, v.censored, p)
        judged.append(replace(v, p_corrected=p, tests=tests, verdict=word))
    return judged


def _one_seed(ticket: dict[str, Any], accuracy: str) -> str:
    said, n = "one seed shows nothing beyond its binomial interval", (ticket.get("images") or {}).get("test")
    if not n:
        return f"{said}, and the number of test images is not on record"
    low, high = wilson(ticket[accuracy] * n, n)
    return f"{said}: test accuracy {ticket[accuracy]:.2%} of {n} images, {low:.2%} to {high:.2%} (Wilson, 95%)"


def sparsest(judged: Sequence[Verdict]) -> Verdict | None:
    """The ticket with the fewest weights remaining that is shown to win, or to match where it cannot win, if there is one."""
    return min((v for v in judged if v.verdict in compare.POSITIVE), key=lambda v: v.density, default=None)
