"""All files of a report, from the records of an outputs folder: tables, figures, and one page that holds all it shows or runs."""

import base64
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from string import Template

from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from lth.analysis import ends, table
from lth.report import schedule, sections, study
from lth.report.details import Part
from lth.report.draw import draw, saved
from lth.report.interactive import spec
from lth.report.plot import Lines, Plot
from lth.tree import results
from lth.tree.attempts import Attempt
from lth.tree.record import Found


def files(
    title: str, found: Found, accuracy: str = ends.EARLY_STOP, attempts: Sequence[Attempt] = ()
) -> Iterator[tuple[str, bytes]]:
    """Yield (path within the report, content) of each file; the page last.

    Args:
        found: one record or more.
        accuracy: the end point of tables, figures and verdicts, one of ``ends.ENDS``.
        attempts: when a launcher trained which round.
    """
    yield "results.csv", results.to_csv(found.records)
    tables, blocks = [], []
    ordered = sorted(found.records, key=lambda r: (r.data, r.model, r.finetune, r.recipe, r.seed, r.round))
    for name, group in groupby(ordered, key=lambda r: r.data):
        records = list(group)
        rows = table.markdown(sections.results(records, accuracy))
        tables.append(f"{name}: {table.caption(records, accuracy)}\n\n{rows}\n")
        blocks.append((name, (yield from _parts(sections.of_data(name, records, found, accuracy)))))
    if parts := study.parts(found, accuracy):
        blocks.insert(0, ("Study", (yield from _parts(parts))))
    yield "results.md", "\n".join([*tables, f"{table.RUNNING}\n"]).encode()
    if parts := schedule.parts(attempts, found.records):
        blocks.append(("Schedule", (yield from _parts(parts))))
    blocks += [("Rounds", _part(sections.rounds(found.records, accuracy), {})), ("Commands", _commands(found))]
    if found.skipped:
        items = "".join(f"<li>{escape(folder)}: {escape(why)}</li>" for folder, why in found.skipped)
        blocks.append(("Left out", f"<ul>{items}</ul>"))
    seeds = len({record.seed for record in found.records})
    page = {name: (Path(__file__).parent / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    text = Template(page["html"]).substitute(
        title=escape(title),
        summary=f"finished rounds: {len(found.records)}, seeds: {seeds}, left out: {len(found.skipped)}",
        contents=" ".join(f'<a href="#part{i}">{escape(name)}</a>' for i, (name, _) in enumerate(blocks)),
        body="\n".join(f'<h2 id="part{i}">{escape(name)}</h2>\n{block}' for i, (name, block) in enumerate(blocks)),
        style=page["css"],
        script=page["js"],
        library=get_plotlyjs(),
    )
    yield "report.html", text.encode()


def _parts(parts: Sequence[Part]) -> Generator[tuple[str, bytes], None, str]:
    """Yield the pictures of sections, as ``files`` does; return the sections as HTML."""
    block = ""
    for part in parts:
        pictures = {}
        for figure, plot in part.figures.items():
            picture = draw(plot)
            yield f"figures/{figure}.png", saved(picture, "png")
            pictures[figure] = saved(picture, "svg")
            yield f"figures/{figure}.svg", pictures[figure]
        block += _part(part, pictures)
    return block


def _part(part: Part, pictures: dict[str, bytes]) -> str:
    """Return a section as HTML; ``pictures`` are SVGs of its figures, for readers without scripts."""
    title = f"<h3>{escape(part.title)}</h3>" if part.title else ""
    text = f'<p class="soft">{escape(part.text)}</p>' if part.text else ""
    figures = "\n".join(_figure(name, plot, pictures[name]) for name, plot in part.figures.items())
    return f'<section>{title}\n{part.inside}\n{text}\n<div class="pair">{figures}</div></section>\n'


def _figure(name: str, plot: Plot, svg: bytes) -> str:
    least = 4 if isinstance(plot, Lines) and plot.y.names else 9  # rows
    height = min(900, 160 + 26 * max(len(plot.y.names), least))  # pixels
    words = escape(f"{plot.title}: {plot.y.title} by {plot.x.title}")
    picture = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return (
        f'<div class="figure"><p class="figcaption">{escape(plot.title)} <span>{escape(plot.note)}</span></p>'
        f'<div class="plot" id="{escape(name)}" style="height: {height}px" role="img" aria-label="{words}"></div>'
        f'<script type="application/json">{to_json_plotly(spec(plot))}</script>'
        f'<noscript><img src="{picture}" alt="{words}"></noscript></div>'
    )


def _commands(found: Found) -> str:
    """Return each command that trained rounds, the earliest first, as HTML."""
    counts = Counter(r.command for r in sorted(found.records, key=lambda r: r.finished) if r.command is not None)
    return "\n".join(
        f'<pre>{escape(f"python -m lth.run {command}".rstrip())}</pre><p class="soft">trained {count} of these rounds</p>'
        for command, count in counts.items()
    )
