"""The verdicts in words and tables: Markdown for files and pages, lines for a terminal. ``accuracy``: one of ``ends.ENDS``."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from lth.analysis import ends, sentences, table, verdict
from lth.analysis.ends import EARLY_STOP
from lth.analysis.statistics import ALPHA
from lth.analysis.verdict import MARGIN, SLACK, Verdict
from lth.tree.record import Record

NONE = "There is no ticket to judge."
LABEL = 13  # characters before a sentence on a terminal


def text(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return the verdicts as Markdown: ``summary``, then ``details``."""
    return f"{summary(records, accuracy)}\n\n{details(records, accuracy)}".rstrip() + "\n"


def summary(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return Markdown: for each chain its headline and its three sentences."""
    lists = (
        "\n".join([f"**{a.headline}**\n", *(f"- {line}" for line in a.sentences)]) for a in sentences.accounts(records, accuracy)
    )
    return "\n\n".join(lists) or NONE


def brief(records: Sequence[Record], accuracy: str = EARLY_STOP) -> list[str]:
    """Return the same words as ``summary``, in lines for a terminal."""
    lines = []
    for a in sentences.accounts(records, accuracy):
        lines.append(f"{'verdict':<{LABEL}}{a.headline}")
        lines += [f"{'':<{LABEL}}{sentence.replace('`', '')}" for sentence in a.sentences]
    return lines


def details(records: Sequence[Record], accuracy: str = EARLY_STOP) -> str:
    """Return Markdown: for each chain a table, a row a density and arm that a ticket is compared with; then what the test is."""
    parts = verdict.by_chain(records, accuracy)
    return "\n\n".join([*map(_part, parts), _test(accuracy, records)]) if parts else ""


def _part(judged: list[Verdict]) -> str:
    first, over = judged[0], ends.seeds([len(v.dense.seeds) for v in judged])
    heading = f"**{first.name}**: {first.title}, {over} (recipe {first.ticket.recipe[:6]})"
    rows = [row for v in judged for row in _rows(v)]
    unit = ends.scale(first.ticket.score)[1].replace(" ", ", ")
    titles = ["weights remaining", "against", "n", f"{first.word} less it{unit}", "verdict", "early-stop iteration less it"]
    titles += ["early stop is", "early stops not seen", "p", "p (Holm)"]
    return "\n\n".join(filter(None, [heading, table.markdown(pd.DataFrame(rows, columns=titles)), _notes(judged)]))


def _rows(v: Verdict) -> Iterator[list[str]]:
    """Yield the cells of each comparison of a ticket; the verdict on it stands beside its dense network."""
    words = {id(v.dense): sentences.verdict(v), id(v.matched): v.matched_verdict}
    for name, c in v.comparisons.items():
        against_dense = id(c) in words
        gain = c.accuracy.bounds if against_dense else c.accuracy.interval
        delay = c.iterations.bounds if against_dense else c.iterations.interval
        stop = _signed(c.iterations.value, delay) + (f" of {c.other_stop:.0f}" if c.seeds else "")
        row = [f"{v.density:.2%}", name + f" ({c.epochs} epochs)" * (c is v.matched), str(len(c.seeds))]
        row += [_signed(c.accuracy.value, gain, lambda x: v.points(x, unit=False)), words.get(id(c), c.accuracy_verdict)]
        row += [stop, "-" if against_dense else c.iterations_verdict, f"{c.censored} of {2 * len(c.seeds)}"]
        yield [*row, *(f"{p:.3f}" if p is not None and c is v.dense else "-" for p in (v.p, v.p_corrected))]


def _signed(mean: float | None, interval: tuple[float, float] | None, form: Callable[[float], str] = "{:+.0f}".format) -> str:
    text = "-" if mean is None else form(mean)
    return f"{text} [{', '.join(map(form, interval))}]" if interval else text


def _notes(judged: list[Verdict]) -> str:
    """Return a line for each thing to say beside the tables, with the densities that it holds for."""
    densities: dict[str, list[str]] = {}
    for v in judged:
        lost = {name: ", ".join(map(str, c.dropped)) for name, c in v.comparisons.items() if c.dropped}
        notes = [f"left out against {name}, in one arm alone: seed {seeds}" for name, seeds in lost.items()]
        for note in [*notes, *filter(None, [v.note])]:
            densities.setdefault(note, []).append(f"{v.density:.2%}")
    return "\n".join(f"- {', '.join(where)}: {note}." for note, where in densities.items())


def _test(accuracy: str, records: Sequence[Record]) -> str:
    score = ends.score(records)
    (factor, unit), word = ends.scale(score), ends.word(score)
    loss, delay = f"{0 - factor * MARGIN:g}{unit}", f"{100 * SLACK:g}% of the dense network's mean"
    return (
        f"Differences are of {ends.title(accuracy, score)}, paired by seed; brackets hold one-sided 95% bounds, against controls "
        f"a two-sided 95% interval. *Winning* (Frankle & Carbin 2019, section 1): by paired t tests the {word} difference is "
        f"above {loss} and the early-stop iteration's at most {delay}; p is the larger of both one-sided p values, p (Holm) is "
        f"corrected for the densities of the chain, and at most {ALPHA:g}. *Matching*: the same of weights rewound to a later "
        f"checkpoint or to pretrained ones. *Matching in {word}*: the {word} alone, of fine-tuned and "
        f"learning-rate-rewound networks, which start trained. *Not winning*, *not matching*: the upper bound of the {word} "
        f"difference is below {loss}, or the lower bound of the iteration's above {delay}, each at its own 95%. Else "
        "*not shown*. Where the lowest validation loss of any of the rounds is its last one, early stop is not seen, and "
        "speed is not compared."
    )
