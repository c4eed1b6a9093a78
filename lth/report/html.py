"""Tables and Markdown as HTML. Whatever comes from a file passes through ``escape``."""

import re
from collections.abc import Sequence
from html import escape

ROWS = 500  # of a table


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], rest: str = "") -> str:
    """Return a table that scrolls by itself, also by keys, where it is too wide.

    Args:
        rest: where the rows are that are too many for a page.
    """
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows[:ROWS])
    more = f'<p class="soft">The first {ROWS} of {len(rows)} rows{escape(rest)}.</p>' if len(rows) > ROWS else ""
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>{more}'


def _cell(cell: str) -> str:
    number = re.match(r"[-+]?\.?\d|-$", cell)
    return f'<td class="number">{escape(cell)}</td>' if number else f"<td>{escape(cell)}</td>"


def markdown(text: str) -> str:
    """Return the little of Markdown that lth writes as HTML: tables, lists, bold, italics, code, paragraphs."""
    return "\n".join(_block(block.splitlines()) for block in re.split(r"\n\s*\n", text.strip()) if block.strip())


def _block(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
        return table(cells[0], cells[2:])
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    text = escape(text)
    for sign, tag in ((r"\*\*", "strong"), (r"\*", "em"), ("`", "code")):
        text = re.sub(f"{sign}(.+?){sign}", rf"<{tag}>\1</{tag}>", text)
    return text
