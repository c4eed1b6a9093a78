"""Bits of HTML. Whatever comes from a file passes through ``escape``."""

import re
from collections.abc import Sequence
from html import escape


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table that scrolls by itself, also by keys, where it is too wide; the first ``left`` columns are text, others numbers."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join("<tr>" + "".join(_cell(i, cell, left) for i, cell in enumerate(row)) + "</tr>\n" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>'


def _cell(i: int, cell: str, left: int) -> str:
    number = i >= left and re.match(r"[-+]?\.?\d|-$", cell)
    return f'<td class="number">{escape(cell)}</td>' if number else f"<td>{escape(cell)}</td>"


def markdown(text: str) -> str:
    """The little of Markdown that lth writes: tables, lists, bold, italics, code, paragraphs."""
    return "\n".join(_block(block.splitlines()) for block in re.split(r"\n\s*\n", text.strip()) if block.strip())


def _block(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        return table(cells[0], cells[2:], left=0)
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    text = escape(text)
    for sign, tag in ((r"\*\*", "strong"), (r"\*", "em"), ("`", "code")):
        text = re.sub(f"{sign}(.+?){sign}", rf"<{tag}>\1</{tag}>", text)
    return text


def details(summary: str, inside: str, *, opened: bool = False) -> str:
    """A part that can be folded."""
    return f"<details{' open' * opened}><summary>{escape(summary)}</summary>\n{inside}\n</details>"
