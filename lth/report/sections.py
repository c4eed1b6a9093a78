"""The sections of a page: what is shown of one data set, what is shown first standing first; then the tree of rounds."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from lth.analysis import ends, naming, pairs, statement, table, verdict
from lth.analysis.pairs import first
from lth.report import details, exports, scores
from lth.report.details import Part
from lth.report.html import markdown, to_html
from lth.report.plot import COLOURS, Axis
from lth.report.scores import short
from lth.tree.record import Found, Record
from lth.tree.settings import setting

LINES = """Solid lines are tickets, broken ones their controls, horizontals dense networks. Hover or tap for values, tick what to
show, drag to zoom, double-click to go back."""
STOP = "The iteration of lowest validation loss: lower is faster."
FOREST = "A bar that lies above the margin shows a ticket no worse than the dense network; above zero, better."
COPIES = "Test error on the line between a network and its copy that saw the images in another order."
COSTS = """What a perfectly sparse engine would compute (a multiplication and an addition are 2 FLOPs), and the size of a
plain file: 4 bytes a remaining parameter and, for a ticket, 1 bit a prunable weight. Both are
computed; nothing here was timed."""
FLOPS, SIZE = Axis("theoretical FLOPs of one image", "log"), Axis("theoretical file size, bytes", "log")


def of_data(name: str, records: Sequence[Record], found: Found, accuracy: str) -> list[Part]:
    """Return the parts about the rounds of one data set; one without anything to show is left out."""
    few = drawn(records)
    plots, judged = scores.figures(few, name, accuracy), verdict.verdicts(few, accuracy)
    label, chain = next(iter(scores.chains(few).items()))
    flops = scores.by_cost(few, name, accuracy, lambda record: record.flops_remaining, FLOPS)
    size = scores.by_cost(few, name, accuracy, scores.file_bytes, SIZE)
    note = f" Of {len(records)} rounds {len(few)} are drawn." * (len(few) < len(records))
    caption = f"{table.caption(records, accuracy)} Mean ± standard deviation over n seeds. {table.RUNNING}"
    summary, verdicts = markdown(statement.summary(few, accuracy)), markdown(statement.details(few, accuracy))
    parts = [
        Part("Is it a winning ticket?", LINES + note, {"accuracy": plots["accuracy"]}, summary),
        Part("Early stop", STOP, {"early_stop": plots["early_stop"]}),
        Part("Paired differences", FOREST, {"differences": scores.differences(judged, label)}),
        Part("Results", caption, inside=to_html(results(records, accuracy))),
        Part("Tickets less dense networks and controls", inside=verdicts),
        Part("Linear mode connectivity", COPIES, {"barrier": plots.get("barrier")}),
        Part("Accuracy against cost", COSTS, {"flops": flops, "size": size}),
        exports.part(name, records, found),
    ]
    arms = list(pairs.arms(record for record in chain if not record.control).values())
    if arms and not first(arms[0]).round:
        best = verdict.sparsest([v for v in judged if v.name == label])
        ticket = next((arm for arm in arms if best and first(arm).density == best.density), arms[-1])
        both = [arms[0], ticket] if ticket is not arms[0] else [ticket]
        called = f"the sparsest that is shown to be {best.verdict}" if best else "the sparsest; none is shown to win"
        parts += [details.curves(label, arms, found), details.density(label, arms), details.overlap(label, arms, found)]
        parts += [details.histogram(label, both, found), details.classes(label, both, called), details.images(both, found)]
    slug, shown = re.sub(r"[^A-Za-z0-9_-]+", "_", name), []
    for part in parts:
        figures = {f"{key}-{slug}": plot for key, plot in part.figures.items() if plot}
        if figures or part.inside:
            shown.append(replace(part, figures=figures))
    return shown


def drawn(records: Sequence[Record]) -> Sequence[Record]:
    """Return the records of as many chains as there are colours, with the dense networks of their families."""
    some = [record for chain in list(scores.chains(records).values())[: len(COLOURS)] for record in chain]
    keys, families = {record.key for record in some}, {record.family for record in some}
    return [r for r in records if r.key in keys or (r.round == 0 and r.family in families)]


def results(records: Sequence[Record], accuracy: str) -> pd.DataFrame:
    """Return the table of results, of strings: mean ± standard deviation (n - 1) over n seeds, the chosen end first."""
    score, names, rows = ends.score(records), naming.headings(records), []
    word = ends.word(score)
    fields = {f"valid {word} {ends.ENDS[accuracy].said}": ends.ENDS[accuracy].val}
    fields |= {ends.title(end, score): end for end in ends.ENDS if end != accuracy} | {f"train {word} (running)": "train_acc"}
    for arm in pairs.arms(records).values():
        some, record = list(arm.values()), first(arm)
        control = f", {naming.CONTROLS[record.control]}" if record.control else ""
        row = {
            "implementation": names[record.recipe, record.step] + control,
            "weights remaining": f"{record.density:.2%}",
            ends.title(accuracy, score): table.mean([getattr(r, accuracy) for r in some]),
            "n": str(len(some)),
        }
        row |= {title: table.mean([getattr(r, field) for r in some]) for title, field in fields.items()}
        row["early stops not seen"] = f"{ends.censored(some)} of {len(some)}"
        row["learning rate"] = f"{setting(record, 'optim.lr'):g}"
        rows.append(row)
    return pd.DataFrame(rows)


def rounds(records: Sequence[Record], accuracy: str) -> Part:
    """The tree of rounds: every round once, below the round that it was pruned from; a branch is indented."""
    names, steps, cells = naming.headings(records), {record.key: record.step for record in records}, []
    nodes = tree(records)
    for record, depth, _ in nodes:
        name = [short(record)]
        if not record.round or record.step != steps.get(record.parent):  # how a chain is pruned is said once
            name += [names[record.recipe, record.step], f"seed {record.seed}"]
        label = "\u2003" * min(depth, 8) + "└ " * bool(depth) + ", ".join(name) + f" ({record.key[:6]})"
        cells.append([label, f"{record.density:.2%}", f"{getattr(record, accuracy):.3f}", clock(record.seconds)])
    text = (
        f"Each round was trained once and then read by all that start from it: {clock(sum(r.seconds for r in records))} of "
        f"training; {clock(sum(seconds for *_, seconds in nodes))} if each chain, and each control with the rounds before its "
        "ticket, had been trained by itself. Times are hours:minutes:seconds."
    )
    columns = ["round", "weights remaining", ends.title(accuracy, ends.score(records)), "time"]
    return Part("", text, inside=to_html(pd.DataFrame(cells, columns=columns)))


def tree(records: Sequence[Record]) -> list[tuple[Record, int, float]]:
    """Return every round with its depth in branches, a parent before its children; its only ticket is no branch.

    The third is the seconds of all rounds from the dense network on, where a chain or a control ends, else 0. A control needs the
    rounds before its ticket, not its ticket.
    """
    keys = {record.key for record in records}
    children: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda r: (not r.control, r.round, r.data, r.name), reverse=True):
        children[record.parent if record.parent in keys else ""].append(record)
    nodes, stack = [], [(record, 0, 0.0) for record in children[""]]
    while stack:
        record, depth, before = stack.pop()
        below, after = children[record.key], before + record.seconds
        tickets = sum(not child.control for child in below)
        nodes.append((record, depth, after if record.control or not tickets else 0.0))
        stack += [(child, depth + (bool(child.control) or tickets > 1), before if child.control else after) for child in below]
    return nodes


def clock(seconds: float) -> str:
    """Return a duration as hours:minutes:seconds."""
    return str(timedelta(seconds=round(seconds)))
