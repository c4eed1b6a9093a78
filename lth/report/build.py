"""All files of a report, from the records of an outputs folder."""

from collections.abc import Iterator, Sequence

import pandas as pd

from lth.analysis import ends, table
from lth.report import choose, sections
from lth.report.draw import draw, saved
from lth.report.page import page
from lth.tree import results
from lth.tree.record import Found, Record

DATA_SETS = 6  # on one page


def files(title: str, found: Found, accuracy: str = ends.EARLY_STOP) -> Iterator[tuple[str, bytes]]:
    """Yield (path within the report, content) of each file; the page last, since it names what the others leave out.

    Args:
        found: one record or more.
        accuracy: the end point of tables, figures and verdicts, one of ``ends.ENDS``.
    """
    yield "results.csv", results.to_csv(found.records)
    yield "results.md", markdown(found.records, accuracy).encode()
    data = choose.by_data(found.records)
    for name in list(data)[DATA_SETS:]:
        found.skip(name, f"the page shows {DATA_SETS} data sets; data={name} shows this one")
    parts = {name: sections.of_data(name, records, found, accuracy) for name, records in list(data.items())[:DATA_SETS]}
    pictures = {}
    for name, plot in (figure for some in parts.values() for part in some for figure in part.figures.items()):
        figure = draw(plot)
        yield f"figures/{name}.png", saved(figure, "png")
        pictures[name] = saved(figure, "svg")
        yield f"figures/{name}.svg", pictures[name]
    yield "report.html", page(title, found, parts, pictures, accuracy).encode()


def markdown(records: Sequence[Record], accuracy: str) -> str:
    """Return results.md: the table of results of each data set."""
    blocks = []
    for name, some in choose.by_data(records).items():
        titles, cells = sections.results(some, accuracy)
        blocks.append(f"{name}: {table.caption(some, accuracy)}\n\n{table.markdown(pd.DataFrame(cells, columns=titles))}\n")
    return "\n".join([*blocks, f"{table.RUNNING}\n"])
