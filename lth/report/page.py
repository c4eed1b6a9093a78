"""One self-contained page: everything that it shows or runs is inside it."""

import base64
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from lth.analysis import ends, naming
from lth.report import html, interactive, tree
from lth.report.plot import Heat, Plot
from lth.report.plots import short
from lth.report.read import Found, Record
from lth.report.sections import Part

HERE = Path(__file__).parent
TREE, SKIPPED = 1000, 200  # rows of the tree, and of what is skipped, on the page


def page(title: str, found: Found, parts: dict[str, list[Part]], pictures: dict[str, bytes], accuracy: str) -> str:
    """The HTML of a report.

    Args:
        accuracy: the end point, one of ``ends.ENDS``.
        parts: data set -> what is said of it.
        pictures: name of a figure -> its SVG, for readers without scripts.
    """
    body, contents = [], []
    for i, (name, own) in enumerate(parts.items()):
        body.append(f'<h2 id="data{i}">{escape(name)}</h2>')
        contents.append(f'<a href="#data{i}">{escape(name)}</a>')
        body += [_part(part, pictures) for part in own]
    body += [_tree(found.records, accuracy), _commands(found.records), _skipped(found)]
    contents += ['<a href="#rounds">Rounds</a>', '<a href="#commands">Commands</a>']
    contents += ['<a href="#skipped">Left out</a>'] * bool(found.skipped)
    return Template(_file("page.html")).substitute(
        title=escape(title),
        summary=escape(_summary(found)),
        contents=" ".join(contents),
        body="\n".join(body),
        style=_file("page.css"),
        script=_file("page.js"),
        library=get_plotlyjs(),
    )


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _summary(found: Found) -> str:
    records = found.records
    seeds = sorted({record["seed"] for record in records})
    finished = max((str(record["finished"]) for record in records if record["finished"]), default="")
    return (
        f"{_count(len(records), 'finished round')}, {_count(len(seeds), 'seed')}, "
        + _count(len({record["recipe"] for record in records}), "recipe")
        + (f"; the last was finished {_when(finished)}" if finished else "")
        + (f"; {len(found.skipped)} left out, see the end" if found.skipped else "")
        + ". Figures: hover or tap for values, tick what to show, drag to zoom, double-click to go back."
    )


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _when(stamp: str) -> str:
    """A time stamp in UTC to the minute."""
    return f"{stamp[:16].replace('T', ' ')} UTC"


def _part(part: Part, pictures: dict[str, bytes]) -> str:
    text = f'<p class="soft">{escape(part.text)}</p>' if part.text else ""
    figures = "\n".join(_figure(name, plot, pictures[name]) for name, plot in part.figures)
    if len(part.figures) > 1:
        figures = f'<div class="pair">{figures}</div>'
    return f"<section><h3>{escape(part.title)}</h3>\n{text}\n{part.inside}\n{figures}</section>"


def _figure(name: str, plot: Plot, svg: bytes) -> str:
    note = f" <span>{escape(plot.note)}</span>" if not isinstance(plot, Heat) and plot.note else ""
    tall = f' style="--tall: {min(900, 160 + 26 * max(len(plot.rows), 6))}px"' if isinstance(plot, Heat) else ""
    said = escape(f"{plot.title}: {plot.y} by {plot.x}")
    picture = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return (
        f'<div class="figure"><p class="figcaption">{escape(plot.title)}{note}</p>'
        f'<div class="plot{" tall" * bool(tall)}" id="{escape(name)}"{tall} role="img" aria-label="{said}"></div>'
        f'<script type="application/json">{interactive.dumps(interactive.spec(plot))}</script>'
        f'<noscript><img src="{picture}" alt="{said}"></noscript></div>'
    )


def _tree(records: Sequence[Record], accuracy: str) -> str:
    nodes = tree.nodes(list(records))
    took, apart = tree.seconds(nodes)
    step = {record["key"]: record["step"] for record in records}
    differs, paces = naming.recipes(records), naming.paces(records)
    rows = [_node(node, differs, paces, step.get(node.record["parent"]), accuracy) for node in nodes[:TREE]]
    text = (
        f"Each round was trained once and then read by all that start from it: {tree.clock(took)} of training; "
        f"{tree.clock(apart)} if each chain, and each control with the rounds before its ticket, had been trained by itself. "
        "Last column: how many of these need the round."
        + (f" The first {TREE} of {len(nodes)} rounds; all are in results.csv." if len(nodes) > TREE else "")
    )
    table = html.table(("round", "weights remaining", ends.title(accuracy), "time", "needed by"), rows)
    return f'<h2 id="rounds">Rounds</h2><p class="soft">{escape(text)}</p><div class="tree">{table}</div>'


def _node(node: tree.Node, differs: dict[str, str], paces: dict[str, str], before: str | None, accuracy: str) -> list[str]:
    """Cells of a round: a dense network says its recipe and seed, the first round of a chain how it is pruned.

    Args:
        differs, paces: see ``naming.recipes`` and ``naming.paces``.
        before: the step of the round's parent, if that is in the tree.
    """
    record, what = node.record, [short(node.record)]
    if not record["round"]:
        what += [
            f"{record['model']} {record['finetune']} on {record['data']}",
            f"seed {record['seed']}",
            differs[record["recipe"]],
        ]
    elif record["step"] != before:
        what += [paces[record["step"]]]
    name = f"{', '.join(filter(None, what))} ({record['key'][:6]})"
    return [
        "\u2003" * min(node.depth, 30) + ("└ " if node.depth else "") + name,
        f"{record['density']:.2%}",
        f"{record[accuracy]:.3f}",
        tree.clock(record["seconds"]),
        f"{node.chains}" if node.chains > 1 else "-",
    ]


def _commands(records: Sequence[Record]) -> str:
    blocks = []
    for text, count, when in tree.commands(list(records)):
        made = f"made {count} of these rounds" + (f", the first finished {_when(when)}" if when else "")
        blocks.append(f'<pre>{escape(text)}</pre><p class="soft">{escape(made)}</p>')
    return '<h2 id="commands">Commands</h2>\n' + ("\n".join(blocks) or "<p>No round has its command on record.</p>")


def _skipped(found: Found) -> str:
    if not found.skipped:
        return ""
    more = f"<p>and {len(found.skipped) - SKIPPED} more.</p>" if len(found.skipped) > SKIPPED else ""
    return '<h2 id="skipped">Left out</h2>' + html.table(("folder", "why"), found.skipped[:SKIPPED], left=2) + more


def title(outputs: Path, filters: dict[str, list[str]]) -> str:
    """What the page is called: the folder, and the filters if there are any."""
    chosen = ", ".join(f"{name}={','.join(values)}" for name, values in filters.items())
    return f"Lottery tickets in {os.path.basename(outputs.resolve())}" + (f" ({chosen})" if chosen else "")
