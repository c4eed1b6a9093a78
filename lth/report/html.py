"""Tables and Markdown as HTML. Whatever comes from a file is escaped."""

import re
from html import escape

import pandas as pd


def to_html(frame: pd.DataFrame) -> str:
    """Return a table that scrolls by itself, also by keys, where it is too wide or too long."""
    with pd.option_context("display.max_colwidth", None):
        return f'<div class="scroll" tabindex="0">{frame.to_html(index=False, border=0)}</div>'


def markdown(text: str) -> str:
    """Return the little of Markdown that lth writes as HTML: tables, lists, bold, italics, code, paragraphs."""
    return "\n".join(_block(block.strip().splitlines()) for block in text.split("\n\n") if block.strip())


def _block(lines: list[str]) -> str:
    if lines[0].startswith("|"):
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
        return to_html(pd.DataFrame(rows, columns=head))
    if lines[0].startswith("- "):
        return "<ul>" + "".join(f"<li>{_inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{_inline(' '.join(lines))}</p>"


def _inline(text: str) -> str:
    text = escape(text)
    for sign, tag in ((r"\*\*", "strong"), (r"\*", "em"), ("`", "code")):
        text = re.sub(f"{sign}(.+?){sign}", rf"<{tag}>\1</{tag}>", text)
    return text
