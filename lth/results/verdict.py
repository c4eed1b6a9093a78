"""Is it a winning ticket? By the definition of Frankle & Carbin 2019 (arXiv 1803.03635), section 1, with a stated test.

A winning ticket reaches at least the dense network's test accuracy, at an early-stop iteration no later. Both are shown
by paired t tests over seeds, one-sided 95% each, within a margin (accuracy) and a slack (iterations).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from lth.results import compare, naming, pairs, table
from lth.results.compare import Control, Matched
from lth.results.pairs import Arm, Difference
from lth.results.statistics import paired_bounds, wilson

MARGIN, SLACK = 0.005, 0.05
ACCURACIES = {"test_acc": "of the last epoch", "best_test_acc": "of the epoch that validated best"}


@dataclass(frozen=True)
class Verdict:
    """A ticket less the dense network; ``dataclasses.asdict`` makes it JSON."""

    recipe: str
    step: str
    round: int
    density: float
    name: str  # for people: model, finetune, how it was pruned
    seeds: list[int]
    dropped: list[int]  # seeds that are in one arm alone
    accuracy: Difference  # fraction, one-sided 95% bounds
    iterations: Difference  # of early stop, one-sided 95% bounds
    dense_iterations: float | None  # the dense networks' mean early-stop iteration
    verdict: str
    note: str  # what one seed shows, else ''
    matched: Matched | None
    controls: list[Control]


def verdicts(
    records: Sequence[dict[str, Any]], accuracy: str = "test_acc", margin: float = MARGIN, slack: float = SLACK
) -> list[Verdict]:
    """A verdict for each recipe, step and round of a list of records, the densest ticket first.

    Each is a test of its own at one-sided 95% a bound; nothing is corrected for their number.

    Args:
        accuracy: 'test_acc' (last epoch) or 'best_test_acc' (epoch that validated best).
        margin: the loss of accuracy, a fraction, that still counts as none.
        slack: the delay of early stop, a fraction of the dense network's mean, that still counts as none.

    Raises:
        ValueError: for another accuracy, or a negative margin or slack.
    """
    if accuracy not in ACCURACIES or margin < 0 or slack < 0:
        raise ValueError(f"accuracy={accuracy}, margin={margin}, slack={slack}: {' or '.join(ACCURACIES)}, and 0 or more.")
    found = pairs.arms(records)
    kin: dict[tuple[str, str, int], dict[pairs.Key, Arm]] = {}  # a search of all arms for each verdict would be quadratic
    for key, arm in found.items():
        kin.setdefault(key[:3], {})[key] = arm
    dense = {key: arm for key, arm in found.items() if key[2] == 0}
    judged = [_verdict(dense | kin[key[:3]], key, accuracy, margin, slack) for key in found if key[2] > 0 and key[3] == ""]
    return sorted(judged, key=lambda verdict: -verdict.density)


def _verdict(found: dict[pairs.Key, Arm], key: pairs.Key, accuracy: str, margin: float, slack: float) -> Verdict:
    recipe, step, index, _ = key
    ticket, dense = found[key], found.get((recipe, "", 0, ""), {})
    first = next(iter(ticket.values()))
    seeds, dropped = pairs.shared(ticket, dense)
    accurate = pairs.difference(ticket, dense, accuracy, paired_bounds)
    sooner = pairs.difference(ticket, dense, "early_stop_iteration", paired_bounds)
    mean = fmean(dense[seed]["early_stop_iteration"] for seed in seeds) if seeds else None
    return Verdict(
        recipe=recipe,
        step=step,
        round=index,
        density=first["density"],
        name=f"{first['model']} {first['finetune']}, {naming.pace(first)}",
        seeds=seeds,
        dropped=dropped,
        accuracy=accurate,
        iterations=sooner,
        dense_iterations=mean,
        verdict=compare.against_dense(accurate, margin, sooner, slack * mean if mean is not None else 0.0),
        note=_one_seed(ticket[seeds[0]], accuracy) if len(seeds) == 1 else "",
        matched=compare.against_matched(ticket, pairs.matched(ticket, dense, found), accuracy, margin),
        controls=[compare.against_control(ticket, arm, k[3], accuracy) for k, arm in found.items() if k[:3] == key[:3] and k[3]],
    )


def _one_seed(ticket: dict[str, Any], accuracy: str) -> str:
    said, n = "one seed shows nothing beyond its binomial interval", (ticket.get("images") or {}).get("test")
    if not n:
        return f"{said}, and the number of test images is not on record"
    low, high = wilson(ticket[accuracy] * n, n)
    return f"{said}: test accuracy {ticket[accuracy]:.2%} of {n} images, {low:.2%} to {high:.2%} (Wilson, 95%)"


def sparsest(judged: Sequence[Verdict]) -> Verdict | None:
    """The winning ticket with the fewest weights remaining, if any is shown to win."""
    return min((v for v in judged if v.verdict == compare.WINNING), key=lambda v: v.density, default=None)


def text(records: Sequence[dict[str, Any]], accuracy: str = "test_acc", margin: float = MARGIN, slack: float = SLACK) -> str:
    """The verdicts as Markdown: for each chain a table, a row a density, and its sparsest winning ticket; then the test."""
    parts = _by_chain(records, accuracy, margin, slack)
    if not parts:
        return "There is no ticket to judge.\n"
    return "\n\n".join([*map(_part, parts), _test(accuracy, margin, slack)]) + "\n"


def brief(records: Sequence[dict[str, Any]]) -> list[str]:
    """One line a chain: its sparsest winning ticket, or that none is shown, and over how many seeds."""
    return [_brief(judged) for judged in _by_chain(records)]


def _by_chain(
    records: Sequence[dict[str, Any]], accuracy: str = "test_acc", margin: float = MARGIN, slack: float = SLACK
) -> list[list[Verdict]]:
    """The verdicts of each chain."""
    chains = naming.chains(records)
    parts: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts(records, accuracy, margin, slack):
        parts.setdefault((verdict.recipe, chains[verdict.step]), []).append(verdict)
    return list(parts.values())


def _found(judged: list[Verdict]) -> str:
    best = sparsest(judged)
    return f"{best.density:.2%} of weights remaining" if best else "none shown"


def _brief(judged: list[Verdict]) -> str:
    n = max(len(v.seeds) for v in judged)
    alone = "; one seed shows nothing beyond its binomial interval" if n == 1 else ""
    return f"verdict      {judged[0].name}: sparsest winning ticket {_found(judged)} (n = {n}{alone})"


def _part(judged: list[Verdict]) -> str:
    controls = [[_controls(judged)]] if any(v.controls for v in judged) else []
    heading = f"**{judged[0].name}** (recipe {judged[0].recipe[:6]})"
    blocks = [[heading], [_table(judged)], *controls, _notes(judged), [f"Sparsest winning ticket: {_found(judged)}."]]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _table(judged: list[Verdict]) -> str:
    longer = any(v.matched for v in judged)
    titles = ["weights remaining", "n", "accuracy less dense, pp", "early-stop iteration less dense", "verdict"]
    rows = []
    for v in judged:
        stop = _signed(v.iterations, 0) + (f" of {v.dense_iterations:.0f}" if v.dense_iterations is not None else "")
        row = [f"{v.density:.2%}", str(len(v.seeds)), _points(v.accuracy), stop, v.verdict]
        m = v.matched
        more = [str(m.epochs), str(len(m.seeds)), _points(m.accuracy), m.verdict] if m else ["-"] * 4
        rows.append(row + more * longer)
    extra = ["dense of equal compute or more, epochs", "n", "accuracy less it, pp", "verdict on compute"]
    return table.markdown(pd.DataFrame(rows, columns=titles + extra * longer))


def _controls(judged: list[Verdict]) -> str:
    titles = ["weights remaining", "control", "n", "accuracy less control, pp", "accuracy is"]
    rows = []
    for v in judged:
        for c in v.controls:
            row = [f"{v.density:.2%}", naming.CONTROLS.get(c.control, c.control), str(len(c.seeds))]
            rows.append([*row, _points(c.accuracy), c.accuracy_verdict, _signed(c.iterations, 0), c.iterations_verdict])
    return table.markdown(pd.DataFrame(rows, columns=[*titles, "early-stop iteration less control", "early stop is"]))


def _notes(judged: list[Verdict]) -> list[str]:
    """What is to be said beside the tables, each thing once, after the densities that it holds for."""
    said: dict[str, list[str]] = {}
    for v in judged:
        arms = [("dense network", v.dropped), *((naming.CONTROLS.get(c.control, c.control), c.dropped) for c in v.controls)]
        arms += [("dense of equal compute or more", v.matched.dropped)] if v.matched else []
        lost = [f"left out against {arm}, in one arm alone: seed {', '.join(map(str, seeds))}" for arm, seeds in arms if seeds]
        for note in [*lost, *filter(None, [v.note])]:
            said.setdefault(note, []).append(f"{v.density:.2%}")
    return [f"- {', '.join(densities)}: {note}." for note, densities in said.items()]


def _points(difference: Difference) -> str:
    scaled = [None if x is None else 100 * x for x in (difference.mean, difference.lower, difference.upper)]
    return _signed(Difference(*scaled), 2)


def _signed(difference: Difference, digits: int) -> str:
    mean, *ends = (
        "-" if x is None else f"{round(x, digits) + 0.0:+.{digits}f}"
        for x in (difference.mean, difference.lower, difference.upper)
    )
    return f"{mean} [{', '.join(ends)}]" if difference.bounds else mean


def _test(accuracy: str, margin: float, slack: float) -> str:
    loss, delay = f"{0 - 100 * margin:g} pp", f"{100 * slack:g}% of the dense network's mean"
    return (
        f"Test accuracy {ACCURACIES[accuracy]}, paired by seed. Winning (Frankle & Carbin 2019, section 1), by paired t tests, "
        f"one-sided 95% each: the lower bound of the accuracy difference is above {loss} and the upper bound of the early-stop "
        f"iteration's at most {delay}; not winning: the upper bound of the accuracy's is below {loss} or the lower bound of the "
        f"iteration's above {delay}; else not shown. Brackets hold these bounds, against controls a two-sided 95% interval; "
        "nothing is corrected for the number of tests."
    )
