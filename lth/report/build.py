"""All files of a report, made from what was read."""

import io
import warnings
from collections.abc import Iterator, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lth.analysis import ends, table
from lth.report import choose, rows, sections
from lth.report.draw import draw
from lth.report.page import page
from lth.report.read import Found, Record
from lth.tree import results

DATA_SETS = 6  # on one page


def files(title: str, found: Found, accuracy: str = ends.EARLY_STOP) -> Iterator[tuple[str, bytes]]:
    """(path within the report, content) of each file; the page last, since it names what the others had to leave out.

    Args:
        accuracy: the end point of tables, figures and verdicts, one of ``ends.ENDS``.

    Raises:
        ValueError: there is no record.
    """
    if not found.records:
        raise ValueError("no finished round to report.")
    yield "results.csv", results.to_csv(found.records)
    yield "results.md", markdown(found.records, accuracy).encode()
    data = choose.by_data(found.records)
    for name in list(data)[DATA_SETS:]:
        found.skip(name, f"the page shows {DATA_SETS} data sets; data={name} shows this one")
    parts = {name: sections.of_data(name, own, found, accuracy) for name, own in list(data.items())[:DATA_SETS]}
    pictures = {}
    for name, plot in (figure for own in parts.values() for part in own for figure in part.figures):
        figure = draw(plot)
        yield f"figures/{name}.png", saved(figure, "png")
        pictures[name] = saved(figure, "svg")
        yield f"figures/{name}.svg", pictures[name]
    yield "report.html", page(title, found, parts, pictures, accuracy).encode()


def markdown(records: Sequence[Record], accuracy: str) -> str:
    """results.md: the table of results of each data set."""
    blocks = []
    for name, own in choose.by_data(list(records)).items():
        cells = pd.DataFrame(rows.rows(own, accuracy), columns=rows.titles(accuracy))
        blocks.append(f"{name}: {table.caption(own, accuracy)}\n\n{table.markdown(cells)}\n")
    return "\n".join([*blocks, f"{table.RUNNING}\n"])


def saved(figure: Figure, form: str) -> bytes:
    """A figure as PNG or SVG; equal figures are equal bytes. Letters that matplotlib's font lacks are boxes in it."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "lth"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)
    return file.getvalue()
