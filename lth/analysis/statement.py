"""The verdicts in words and tables: Markdown for files and pages, lines for a terminal."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from lth.analysis import ends, naming, sentences, table, verdict
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import Difference
from lth.analysis.sentences import Account
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import MARGIN, SLACK, Verdict

NONE = "There is no ticket to judge."
LABEL = 13  # characters before a sentence on a terminal


def text(records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK) -> str:
    """The verdicts as Markdown: ``summary``, then ``details``."""
    return f"{summary(records, accuracy, margin, slack)}\n\n{details(records, accuracy, margin, slack)}".rstrip() + "\n"


def summary(records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK) -> str:
    """Markdown: for each chain its headline and its three sentences; arguments as of ``verdict.verdicts``."""
    told = accounts(records, accuracy, margin, slack)
    blocks = (f"**{one.headline}**\n\n" + "\n".join(f"- {sentence}" for sentence in one.sentences) for one in told)
    return "\n\n".join(blocks) or NONE


def brief(records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP) -> list[str]:
    """The same words as ``summary``, in lines for a terminal."""
    lines = []
    for one in accounts(records, accuracy):
        lines.append(f"{'verdict':<{LABEL}}{one.headline}")
        lines += [f"{'':<{LABEL}}{sentence.replace('`', '')}" for sentence in one.sentences]
    return lines


def accounts(
    records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK
) -> list[Account]:
    """Of each chain; arguments as of ``verdict.verdicts``."""
    chains, varied = naming.chains(records), naming.varied(records)
    found = []
    for judged in verdict.by_chain(records, accuracy, margin, slack):
        recipe, chain = judged[0].recipe, chains[judged[0].step]
        own = [r for r in records if r["recipe"] == recipe and (not r["round"] or chains[r["step"]] == chain)]
        found.append(sentences.account(judged, own, varied))
    return found


def details(records: Sequence[dict[str, Any]], accuracy: str = EARLY_STOP, margin: float = MARGIN, slack: float = SLACK) -> str:
    """Markdown: for each chain a table, a row a density, and one of its controls; then what the test is."""
    parts = verdict.by_chain(records, accuracy, margin, slack)
    return "\n\n".join([*map(_part, parts), _test(accuracy, margin, slack)]) if parts else ""


def _part(judged: list[Verdict]) -> str:
    controls = [[_controls(judged)]] if any(v.controls for v in judged) else []
    over = ends.seeds([len(v.seeds) for v in judged])
    heading = f"**{judged[0].name}**: {ends.title(judged[0].end)}, {over} (recipe {judged[0].recipe[:6]})"
    blocks = [[heading], [_table(judged)], *controls, _notes(judged)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _table(judged: list[Verdict]) -> str:
    longer = any(v.matched for v in judged)
    titles = ["weights remaining", "n", "accuracy less dense, pp", "early-stop iteration less dense", "early stops not seen"]
    rows = []
    for v in judged:
        stop = _signed(v.iterations, 0) + (f" of {v.dense_iterations:.0f}" if v.dense_iterations is not None else "")
        row = [f"{v.density:.2%}", str(len(v.seeds)), _points(v.accuracy), stop, f"{v.censored} of {2 * len(v.seeds)}"]
        p = ["-" if p is None else f"{p:.3f}" for p in (v.p, v.p_corrected)]
        m = v.matched
        more = [str(m.epochs), str(len(m.seeds)), _points(m.accuracy), m.verdict] if m else ["-"] * 4
        rows.append([*row, *p, sentences.verdict(v), *more * longer])
    extra = ["dense of equal compute or more, epochs", "n", "accuracy less it, pp", "verdict on compute"]
    return table.markdown(pd.DataFrame(rows, columns=[*titles, "p", "p (Holm)", "verdict", *extra * longer]))


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
    return _signed(difference, 2, 100)


def _signed(difference: Difference, digits: int, factor: int = 1) -> str:
    mean, *ends = (
        "-" if x is None else f"{round(factor * x, digits) + 0.0:+.{digits}f}"
        for x in (difference.mean, difference.lower, difference.upper)
    )
    return f"{mean} [{', '.join(ends)}]" if difference.bounds else mean


def _test(accuracy: str, margin: float, slack: float) -> str:
    loss, delay = f"{0 - 100 * margin:g} pp", f"{100 * slack:g}% of the dense network's mean"
    return (
        f"Differences are of {ends.title(accuracy)}, paired by seed; brackets hold one-sided 95% bounds, against controls "
        "a two-sided 95% interval. *Winning* (Frankle & Carbin 2019, section 1): by paired t tests the accuracy difference is "
        f"above {loss} and the early-stop iteration's at most {delay}; p is the larger of both one-sided p values, p (Holm) is "
        f"corrected for the densities of the chain, and at most {ALPHA:g}. *Matching*: the same of weights rewound to a later "
        "checkpoint or to pretrained ones. *Matching in accuracy*: the accuracy alone, of fine-tuned and "
        "learning-rate-rewound networks, which start trained. *Not winning*, *not matching*: the upper bound of the accuracy "
        f"difference is below {loss}, or the lower bound of the iteration's above {delay}, each at its own 95%. Else "
        "*not shown*. Where the lowest validation loss of any of the rounds is its last one, early stop is not seen, and "
        "speed is not compared."
    )
