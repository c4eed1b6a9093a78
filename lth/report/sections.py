"""The sections of a page: what is shown of one data set, what is shown first standing first; then all rounds and commands."""

import re
from collections.abc import Sequence
from dataclasses import replace

from lth.analysis import ends, naming, pairs, statement, table, verdict
from lth.report import choose, details, html, images, scores
from lth.report.choose import Chain, short
from lth.report.details import Part, part
from lth.tree.record import Found, Record
from lth.tree.settings import setting

LINES = "Solid lines are tickets, broken ones their controls, horizontals dense networks."
USE = "Hover or tap for values, tick what to show, drag to zoom, double-click to go back."
FOREST = "A bar that lies right of the margin shows a ticket no worse than the dense network; right of zero, better."
COPIES = "Test error on the line between a network and its copy that saw the images in another order."
COSTS = """What a perfectly sparse engine would compute (a multiplication and an addition are 2 FLOPs), and the size of a
plain file: 4 bytes a remaining parameter and, for a ticket, 1 bit a prunable weight. Nothing here was timed."""


def of_data(name: str, records: list[Record], found: Found, accuracy: str) -> list[Part]:
    """Return the parts about the rounds of one data set; a part without anything to show says so in one sentence."""
    every = choose.chains(records)
    drawn = choose.drawn(records, every[: choose.SERIES]) if every else records
    some = choose.chains(drawn)[: choose.SERIES]  # called by what sets apart those that are drawn
    note = f" Of {len(every)} chains the {len(some)} with most seeds and rounds are drawn." * (len(every) > len(some))
    plots = scores.figures(drawn, name, accuracy)
    forest = {"differences": scores.differences(drawn, some[0], accuracy)} if some else {}
    flops = scores.by_cost(some, name, accuracy, lambda r: r.flops_remaining, "theoretical FLOPs of one image, millions", 1e6)
    size = scores.by_cost(some, name, accuracy, scores.file_bytes, "compressed file, kB", 1e3)
    verdicts = html.markdown(statement.details(drawn, accuracy) or statement.NONE)
    caption = f"{table.caption(records, accuracy)} Mean ± standard deviation over n seeds. {table.RUNNING}"
    cells = html.table(*results(records, accuracy), "; all are in results.md")
    summary, stop = html.markdown(statement.summary(drawn, accuracy)), {"early_stop": plots["early_stop"]}
    parts = [
        Part("Is it a winning ticket?", f"{LINES}{note} {USE}", summary, {"accuracy": plots["accuracy"]}),
        Part("Early stop", "The iteration of lowest validation loss: lower is faster.", figures=stop),
        part("Paired differences", FOREST, "No ticket shares a seed with its dense network or a control.", forest),
        Part("Results", caption, cells),
        Part("Tickets less dense networks and controls", note.strip(), verdicts),
        *([Part("Linear mode connectivity", COPIES, figures={"barrier": plots["barrier"]})] if "barrier" in plots else []),
        part("Accuracy against cost", COSTS + note, "No FLOPs and no parameters are on record.", {"flops": flops, "size": size}),
        *(_details(some[0], drawn, found, accuracy) if some else []),
    ]
    slug = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    return [replace(p, figures={f"{key}-{slug}": plot for key, plot in p.figures.items()}) for p in parts]


def results(records: Sequence[Record], accuracy: str) -> tuple[list[str], list[list[str]]]:
    """Return titles and cells of the table of results: mean ± standard deviation (n - 1) over n seeds, the chosen end first."""
    score, names = ends.score(records), naming.headings(records)
    others, word = [end for end in ends.ENDS if end != accuracy], ends.word(score)
    titles = ["implementation", "weights remaining", ends.title(accuracy, score), "n", f"valid {word} {ends.ENDS[accuracy].said}"]
    titles += [*(ends.title(end, score) for end in others), f"train {word} (running)", "early stops not seen", "learning rate"]
    cells = []
    for arm in (list(arm.values()) for arm in pairs.arms(records).values()):
        name = ", ".join(filter(None, [names[arm[0].recipe, arm[0].step], naming.CONTROLS.get(arm[0].control, arm[0].control)]))
        means = [table.mean([getattr(r, f) for r in arm]) for f in (accuracy, ends.ENDS[accuracy].val, *others, "train_acc")]
        stops, rate = f"{ends.censored(arm)} of {len(arm)}", f"{setting(arm[0], 'optim.lr'):g}"
        cells.append([name, f"{arm[0].density:.2%}", means[0], str(len(arm)), *means[1:], stops, rate])
    return titles, cells


def _details(chain: Chain, records: list[Record], found: Found, accuracy: str) -> list[Part]:
    """The parts about one chain, and about its winning or else its sparsest ticket."""
    both, called = chain.ends(verdict.verdicts(records, accuracy))
    parts = [details.curves(chain, found), details.density(chain), details.overlap(chain, found)]
    return [*parts, details.histogram(chain, both, found), details.classes(chain, both, called, found), images.part(both, found)]


def rounds(records: Sequence[Record], accuracy: str) -> Part:
    """The tree of rounds: every round once, below the round that it was pruned from; a branch is indented."""
    nodes = tree(records)
    names = naming.headings(records)
    took, apart = seconds([record for record, _ in nodes])
    cells = []
    steps = {record.key: record.step for record in records}
    for record, depth in nodes:
        name = [short(record)]
        if not record.round or record.step != steps.get(record.parent):  # how a chain is pruned is named once
            name += [names[record.recipe, record.step], f"seed {record.seed}"]
        label = "\u2003" * min(depth, 8) + "└ " * bool(depth) + ", ".join(name) + f" ({record.key[:6]})"
        cells.append([label, f"{record.density:.2%}", f"{getattr(record, accuracy):.3f}", clock(record.seconds)])
    text = (
        f"Each round was trained once and then read by all that start from it: {clock(took)} of training; {clock(apart)} if each "
        "chain, and each control with the rounds before its ticket, had been trained by itself."
    )
    head = ("round", "weights remaining", ends.title(accuracy, ends.score(records)), "time")
    return Part("", text, html.table(head, cells, "; all are in results.csv"))


def tree(records: Sequence[Record]) -> list[tuple[Record, int]]:
    """Return every round with its depth in branches, a parent before its children; its only ticket is no branch."""
    by_key = {record.key: record for record in records}
    children: dict[str, list[Record]] = {}
    for record in by_key.values():
        children.setdefault(record.parent if record.parent in by_key else "", []).append(record)
    nodes, stack = [], [(record, 0) for record in reversed(children.get("", []))]
    while stack:  # chains may be deeper than Python's recursion
        record, depth = stack.pop()
        nodes.append((record, depth))
        below = sorted(children.get(record.key, []), key=lambda r: (not r.control, r.round, r.name), reverse=True)
        alone = sum(not child.control for child in below) == 1
        stack += [(child, depth + (bool(child.control) or not alone)) for child in below]
    return nodes


def seconds(records: Sequence[Record]) -> tuple[float, float]:
    """Return what the rounds took, and what they would have taken if each chain and each control had been trained by itself.

    Args:
        records: a parent before its children. A control needs the rounds before its ticket, not its ticket.
    """
    by_key, chain, tickets = {r.key: r for r in records}, {}, {r.parent for r in records if not r.control}
    apart = 0.0
    for record in records:
        before = by_key.get(record.parent)
        before = by_key.get(before.parent) if record.control and before else before
        chain[record.key] = record.seconds + (chain[before.key] if before else 0.0)
        apart += chain[record.key] if record.control or record.key not in tickets else 0.0
    return sum(record.seconds for record in records), apart


def clock(seconds: float) -> str:
    """Return a duration for people: '37 s', '12 min', '3 h 20 min'."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
