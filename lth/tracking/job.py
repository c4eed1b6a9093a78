"""What a job prints and writes when its rounds are finished: tables, the verdict, figures, and how to go on."""

import shlex
import shutil
import sys
from pathlib import Path

from lth.analysis import statement, table, verdict
from lth.config import Config
from lth.report import draw, scores
from lth.tracking import chains
from lth.tree import files
from lth.tree.record import Record

FIGURES = {"accuracy": "figure.png", "early_stop": "early_stop.png", "barrier": "barrier.png"}


def show(config: Config, records: list[Record], every: list[Record]) -> None:
    """Print the table of a job's records and the verdict; write table.md, verdict.md and figures of those of every job so far."""
    outputs, folder = Path(config.outputs), shlex.quote(config.outputs)
    judged = statement.text(every)
    files.write_bytes(outputs / "table.md", table.document(every).encode())
    files.write_bytes(outputs / "verdict.md", judged.encode())
    plots = scores.figures(every, f"{every[-1].model} on {every[-1].data}")
    for name, plot in plots.items():
        files.write_bytes(outputs / FIGURES[name], draw.saved(draw.draw(plot)))
    _print_tables(records, every)
    print("\n".join(statement.brief(every)))
    if best := verdict.sparsest(verdict.verdicts(every)):
        print(f"ticket       {best.ticket.folder}")  # of its first seed
    print(f"tables       {outputs / 'table.md'}, {outputs / 'verdict.md'}, {outputs / 'results.csv'}")
    print(f"figures      {', '.join(str(outputs / FIGURES[name]) for name in plots)}")
    if config.logger.name == "tensorboard":
        chains.verdict(outputs, judged)
        print(f"TensorBoard  python -m lth.board {folder}")
    print(f"report       python -m lth.report {folder}")


def _print_tables(records: list[Record], every: list[Record]) -> None:
    """Print the table of a job's rounds, and of several seeds their means, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    print(f"\n{table.caption(records, each=True)}\n{table.fitting(table.table(records), width)}\n")
    if len({record.seed for record in every}) > 1:
        print(f"{table.caption(every)}\n{table.fitting(table.summary(every), width)}\n")
