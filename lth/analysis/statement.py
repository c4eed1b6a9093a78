"""The verdicts in words and tables: Markdown for files and pages, lines for a terminal. ``accuracy``: one of ``ends.ENDS``."""

from collections.abc import Callable, Sequence

import pandas as pd

from lth.analysis import ends, naming, sentences, table, verdict
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
    """Return Markdown: for each chain a table, a row a density, and one of its controls; then what the test is."""
    parts = verdict.by_chain(records, accuracy)
    return "\n\n".join([*map(_part, parts), _test(accuracy, records)]) if parts else ""


def _part(judged: list[Verdict]) -> str:
    first, over = judged[0], ends.seeds([len(v.dense.seeds) for v in judged])
    heading = f"**{first.name}**: {first.title}, {over} (recipe {first.ticket.recipe[:6]})"
    controls = _with_controls(judged) if any(v.controls for v in judged) else ""
    return "\n\n".join(filter(None, [heading, _with_dense(judged), controls, _notes(judged)]))


def _with_dense(judged: list[Verdict]) -> str:
    titles = ["weights remaining", "n", _less(judged, "dense"), "early-stop iteration less dense", "early stops not seen"]
    longer = ["dense of equal compute or more, epochs", "n", _less(judged, "it"), "verdict on compute"]
    longer = longer if any(v.matched for v in judged) else []
    rows = []
    for v in judged:
        d, m, n = v.dense, v.matched, len(v.dense.seeds)
        stop = _signed(d.iterations.value, d.iterations.bounds) + (f" of {d.other_stop:.0f}" if n else "")
        row = [f"{v.density:.2%}", str(n), _gain(v, d.accuracy.value, d.accuracy.bounds), stop, f"{d.censored} of {2 * n}"]
        row += [*("-" if p is None else f"{p:.3f}" for p in (v.p, v.p_corrected)), sentences.verdict(v)]
        compute = [m.epochs, len(m.seeds), _gain(v, m.accuracy.value, m.accuracy.bounds), v.matched_verdict] if m else "----"
        rows.append([*row, *map(str, compute if longer else "")])
    return table.markdown(pd.DataFrame(rows, columns=[*titles, "p", "p (Holm)", "verdict", *longer]))


def _with_controls(judged: list[Verdict]) -> str:
    titles = ["weights remaining", "control", "n", _less(judged, "control"), f"{judged[0].word} is"]
    rows = []
    for v in judged:
        for c in v.controls:
            row = [f"{v.density:.2%}", naming.CONTROLS.get(c.control, c.control), str(len(c.seeds))]
            row += [_gain(v, c.accuracy.value, c.accuracy.interval), c.accuracy_verdict]
            rows.append([*row, _signed(c.iterations.value, c.iterations.interval), c.iterations_verdict])
    return table.markdown(pd.DataFrame(rows, columns=[*titles, "early-stop iteration less control", "early stop is"]))


def _less(judged: list[Verdict], other: str) -> str:
    unit = ends.scale(judged[0].ticket.score)[1].strip()
    return ", ".join(filter(None, [f"{judged[0].word} less {other}", unit]))


def _gain(v: Verdict, mean: float | None, interval: tuple[float, float] | None) -> str:
    return _signed(mean, interval, lambda x: v.points(x, unit=False))


def _signed(mean: float | None, interval: tuple[float, float] | None, form: Callable[[float], str] = "{:+.0f}".format) -> str:
    text = "-" if mean is None else form(mean)
    return f"{text} [{', '.join(map(form, interval))}]" if interval else text


def _notes(judged: list[Verdict]) -> str:
    """Return a line for each thing to say beside the tables, with the densities that it holds for."""
    densities: dict[str, list[str]] = {}
    for v in judged:
        for name, c in v.comparisons.items():
            if c.dropped:
                note = f"left out against {name}, in one arm alone: seed {', '.join(map(str, c.dropped))}"
                densities.setdefault(note, []).append(f"{v.density:.2%}")
        if v.note:
            densities.setdefault(v.note, []).append(f"{v.density:.2%}")
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
