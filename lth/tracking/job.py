"""What a job prints and writes when its rounds are finished: tables, the verdict, figures, and how to go on."""

import shlex
import shutil
import sys
from pathlib import Path

from lth.analysis import statement, table, verdict
from lth.config import Config
from lth.tree import files
from lth.tree.record import Record


def show(config: Config, records: list[Record], every: list[Record]) -> None:
    """Print the table of a job's records and the verdict; write table.md, verdict.md and figures of those of every job so far."""
    outputs = Path(config.outputs)
    judged = statement.text(every)
    files.write_bytes(outputs / "table.md", table.document(every).encode())
    files.write_bytes(outputs / "verdict.md", judged.encode())
    written = _draw(outputs, every)
    print(f"\n{_tables(records, every)}\n")
    print("\n".join(statement.brief(every)))
    if folder := _ticket(every):
        print(f"ticket       {folder}")
    print(f"tables       {outputs / 'table.md'}, {outputs / 'verdict.md'}, {outputs / 'results.csv'}")
    print(f"figures      {', '.join(map(str, written))}")
    if config.logger.name == "tensorboard":
        from lth.tracking import chains

        chains.verdict(outputs, judged)
        print(f"TensorBoard  python -m lth.board {shlex.quote(str(outputs))}")
    print(f"report       python -m lth.report {shlex.quote(str(outputs))}")


def _tables(records: list[Record], every: list[Record]) -> str:
    """Return the table of a job's rounds, and of several seeds their means, as wide as the terminal."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    blocks = [f"{table.caption(records, each=True)}\n{table.fitting(table.table(records), width)}"]
    if len({record.seed for record in every}) > 1:
        blocks.append(f"{table.caption(every)}\n{table.fitting(table.summary(every), width)}")
    return "\n\n".join(blocks)


def _ticket(records: list[Record]) -> Path | None:
    """Return the folder of the sparsest ticket that is shown to win or to match, of its first seed."""
    best = verdict.sparsest(verdict.verdicts(records))
    return best.ticket.folder if best else None


def _draw(outputs: Path, records: list[Record]) -> list[Path]:
    """Write the figures as PNG; return their paths."""
    from lth.report import draw, scores

    names = {"accuracy": "figure.png", "early_stop": "early_stop.png", "barrier": "barrier.png"}
    plots = scores.figures(records, f"{records[-1].model} on {records[-1].data}")
    for name, plot in plots.items():
        files.write_bytes(outputs / names[name], draw.saved(draw.draw(plot)))
    return [outputs / names[name] for name in plots]
