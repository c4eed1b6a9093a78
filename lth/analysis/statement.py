"""The verdicts in words and tables, for files, pages and terminals. ``accuracy``: one of ``ends.ENDS``."""

from collections.abc import Sequence

import pandas as pd

from lth.analysis import ends, rivals, sentences, table, verdict
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import Comparison
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import DENSE, EQUAL, MARGIN, NO_CONTROLS, OWN, SLACK, Verdict
from lth.tree.record import Record

NONE = "There is no ticket to judge."
LABEL = 13  # characters before a sentence on a terminal


def text(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return the verdicts as Markdown: ``summary``, then ``details``."""
    return f"{summary(records, accuracy)}\n\n{details(records, accuracy)}".rstrip() + "\n"


def summary(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return Markdown: for each chain its headline and its three sentences."""
    accounts = sentences.accounts(records, accuracy)
    return "\n\n".join("\n- ".join([f"**{headline}**\n", *lines]) for headline, *lines in accounts) or NONE


def brief(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[str]:
    """Return the same words as ``summary``, in lines for a terminal."""
    result = []
    for headline, *lines in sentences.accounts(records, accuracy):
        result += [f"{'verdict':<{LABEL}}{headline}", *(" " * LABEL + line.replace("`", "") for line in lines)]
    return result


def details(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return Markdown: for each chain a table, a row a density and comparison; ``rivals.parts``; then what the test is."""
    parts = verdict.by_chain(records, accuracy)
    beside = rivals.parts(records, accuracy)
    return "\n\n".join([*map(_part, parts), *beside, _test(accuracy, ends.score(records))]) if parts else ""


def _part(judged: list[Verdict]) -> str:
    ticket, over = judged[0].ticket, ends.seeds([len(v.dense.seeds) for v in judged])
    heading = f"**{judged[0].name}**: {ends.title(judged[0].end, ticket.score)}, {over} (recipe {ticket.recipe[:6]})"
    rows = [_row(v, name, c) for v in judged for name, c in v.comparisons.items()]
    return f"{heading}\n\n{table.markdown(pd.DataFrame(rows))}"


def _row(v: Verdict, name: str, c: Comparison) -> dict[str, str]:
    """Return the cells of a comparison; the verdict on a ticket stands beside its dense network."""
    unit = ends.scale(v.ticket.score)[1].replace(" ", ", ")
    control = name not in NO_CONTROLS
    gain, delay = (c.accuracy.interval, c.iterations.interval) if control else (c.accuracy.bounds, c.iterations.bounds)
    verdicts = {DENSE: v.verdict.replace("accuracy", v.word), EQUAL: v.no_worse(EQUAL), OWN: v.no_worse(OWN)}
    about = {EQUAL: f" ({c.epochs} epochs)", OWN: f" ({c.density:.2%})"}
    tested = name == DENSE and v.p is not None
    return {
        "weights remaining": f"{v.density:.2%}",
        "against": name + about.get(name, ""),
        "n": str(len(c.seeds)),
        "seeds in one arm alone": ", ".join(map(str, c.dropped)),
        f"{v.word} less it{unit}": table.signed(c.accuracy.value, gain, lambda x: v.points(x, unit=False)),
        "verdict": verdicts.get(name, c.accuracy_verdict),
        "early-stop iteration less it": f"{table.signed(c.iterations.value, delay)} of {c.other_stop:.0f}",
        "early stop is": c.iterations_verdict if control else "",
        "early stops not seen": f"{c.censored} of {2 * len(c.seeds)}",
        "p": f"{v.p:.3f}" if tested else "",
        "p (Holm)": f"{v.p_corrected:.3f}" if tested else "",
    }


def _test(accuracy: str, score: str) -> str:
    (factor, unit), word = ends.scale(score), ends.word(score)
    loss = f"{-factor * MARGIN:g}{unit}"
    return (
        f"Differences are of {ends.title(accuracy, score)}, paired by seed; brackets hold one-sided 95% bounds, against controls "
        f"a two-sided 95% interval. By paired t tests a *winning* ticket's {word} difference is above {loss}, and its early-stop "
        f"iteration's at most {100 * SLACK:g}% of the dense network's mean (Frankle & Carbin 2019, section 1). p is the larger "
        f"of both one-sided p values; p (Holm), corrected for the densities of the chain, is at most {ALPHA:g}. *Matching* is "
        f"the same of weights rewound to a later checkpoint, to pretrained ones or to signs alone; *matching in {word}* is the "
        f"{word} alone, of networks that start trained or are pruned while they train. Speed is not compared where an early stop "
        "is not seen: the lowest validation loss is the last one."
    )
