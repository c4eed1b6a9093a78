"""One self-contained page: everything that it shows or runs is inside it."""

import base64
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from lth.report import html, interactive, sections
from lth.report.details import Part
from lth.report.plot import Heat, Lines, Plot
from lth.tree.record import Found, Record


def page(title: str, found: Found, parts: dict[str, list[Part]], pictures: dict[str, bytes], accuracy: str) -> str:
    """Return the HTML of a report.

    Args:
        parts: data set -> what is shown of it.
        pictures: name of a figure -> its SVG, for readers without scripts.
    """
    blocks = [(name, "".join(_part(part, pictures) for part in some)) for name, some in parts.items()]
    blocks.append(("Rounds", _part(sections.rounds(found.records, accuracy), pictures)))
    blocks.append(("Commands", _commands(found.records)))
    if found.skipped:
        blocks.append(("Left out", html.table(("folder", "why"), found.skipped)))
    return Template(_file("page.html")).substitute(
        title=escape(title),
        summary=escape(_summary(found)),
        contents=" ".join(f'<a href="#part{i}">{escape(name)}</a>' for i, (name, _) in enumerate(blocks)),
        body="\n".join(f'<h2 id="part{i}">{escape(name)}</h2>\n{text}' for i, (name, text) in enumerate(blocks)),
        style=_file("page.css"),
        script=_file("page.js"),
        library=get_plotlyjs(),
    )


def _file(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def _summary(found: Found) -> str:
    counts = {
        "finished round": len(found.records),
        "seed": len({record.seed for record in found.records}),
        "recipe": len({record.recipe for record in found.records}),
        "left out": len(found.skipped),
    }
    return ", ".join(f"{n} {what}{'s' * (n != 1 and what != 'left out')}" for what, n in counts.items() if n)


def _part(part: Part, pictures: dict[str, bytes]) -> str:
    text = f'<p class="soft">{escape(part.text)}</p>' if part.text else ""
    title = f"<h3>{escape(part.title)}</h3>" if part.title else ""
    figures = "\n".join(_figure(name, plot, pictures[name]) for name, plot in part.figures.items())
    if len(part.figures) > 1:
        figures = f'<div class="pair">{figures}</div>'
    return f"<section>{title}\n{part.inside}\n{text}\n{figures}</section>"


def _figure(name: str, plot: Plot, svg: bytes) -> str:
    note = f" <span>{escape(plot.note)}</span>" if isinstance(plot, Lines) and plot.note else ""
    rows = len(plot.rows) if isinstance(plot, Heat) else len(plot.names) * (plot.y_form == "names")
    tall = f' style="--tall: {min(900, 160 + 26 * max(rows, 6))}px"' if rows else ""
    words = escape(f"{plot.title}: {plot.y} by {plot.x}")
    picture = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return (
        f'<div class="figure"><p class="figcaption">{escape(plot.title)}{note}</p>'
        f'<div class="plot{" tall" * bool(tall)}" id="{escape(name)}"{tall} role="img" aria-label="{words}"></div>'
        f'<script type="application/json">{to_json_plotly(interactive.spec(plot))}</script>'
        f'<noscript><img src="{picture}" alt="{words}"></noscript></div>'
    )


def _commands(records: Sequence[Record]) -> str:
    """Each command that trained rounds, the earliest first."""
    counts = Counter(r.command for r in sorted(records, key=lambda r: r.finished) if r.command is not None)
    blocks = (
        f'<pre>{escape(f"python -m lth.run {text}".rstrip())}</pre><p class="soft">trained {count} of these rounds</p>'
        for text, count in counts.items()
    )
    return "\n".join(blocks) or "<p>No round has its command on record.</p>"
