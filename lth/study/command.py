"""The study of a command: what is missing is trained, then there are one table, one figure and the verdicts."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lth.analysis import statement, table
from lth.cli import signals, usage
from lth.cli import sweep as failures
from lth.config import Config, require
from lth.errors import Interrupted
from lth.hashes import of_json
from lth.launch import jobs, sweep
from lth.launch.display import duration
from lth.report import cards, draw, study
from lth.study import estimate, measure, plan
from lth.study.plan import Size
from lth.study.rows import Rows, prepare, searches
from lth.training import search
from lth.training.experiment import ImageExperiment, Say
from lth.tree import files
from lth.tree.record import Record, read

ONE = "a study is one job; study.seeds=N has more seeds, study.models=[] is no study"  # why its keys are not swept


def start(config: Config, launcher: str = "", options: dict[str, Any] | None = None) -> float:
    """Run the study of a command, or with --dry-run print what it would train. Raises UsageError for a sweep, and see ``run``."""
    usage.refuse_sweep(ONE)
    if usage.dry():
        outline(config)
        return math.nan
    if not launcher:  # it listens itself
        signals.listen()
    return run(config, launcher, options)


def run(config: Config, launcher: str = "", options: dict[str, Any] | None = None, say: Say = print) -> float:
    """Train, measure and show a study; a search that fails is reported at the end. Return NaN: nothing is optimised.

    Args:
        launcher: of the rounds, one of ``launch.sweep.ENGINES``; '': one after the other in this process.

    Raises:
        UsageError: a key is not accepted.
        DataError: no row can be trained.
    """
    devices, outputs = config.trainer.devices, Path(config.outputs)
    require(devices == 1 or launcher, "trainer.devices", devices, "1 in a study, or -m hydra/launcher=local")
    rows, left_out = prepare(config, say)
    size = chosen(config, rows, read(outputs).records, say)
    every = searches(config, rows, size)
    keys = dict.fromkeys(spec.key for experiment in every.values() for spec in experiment.rounds())
    facts = {"rounds": list(keys), "asked": _asked(config, rows), "size": asdict(size), "left_out": left_out}
    outputs.mkdir(parents=True, exist_ok=True)
    files.write_json(outputs / study.FILE, {"format": study.FORMAT, **facts})
    if launcher:
        for error in sweep.train(list(every.values()), launcher, dict(options or {})):
            failures.failed(error)
        sweep.finish(list(every.values()))
    else:
        _train(every, say)
    show(outputs, say)
    return math.nan


def _train(every: Mapping[str, ImageExperiment], say: Say) -> None:
    for title, experiment in every.items():
        try:
            search.rounds(experiment, say, f"{title}, ")
        except Interrupted:
            raise
        except Exception as error:
            failures.failed(error, f"{title} failed: ")


def outline(config: Config) -> None:
    """Print what a study would train, search by search, and note the searches for ``jobs.outline``."""
    rows, _ = prepare(config, print)
    size = chosen(config, rows, read(Path(config.outputs)).records, print)
    for title, experiment in searches(config, rows, size).items():
        jobs.plan([experiment.config])
        print(f"{title}: {len(experiment.rounds())} rounds of {size.epochs} epochs")


def chosen(config: Config, rows: Rows, records: Sequence[Record], say: Say) -> Size:
    """Return how much is trained; a command that is repeated keeps what its budget chose. Raises UsageError: nothing fits it."""
    wanted, given = plan.asked(config), config.study
    if given.budget == "none":
        return wanted
    before = study.read(Path(config.outputs))
    if before and before.asked == _asked(config, rows):
        size = Size(**before.size)
        say(f"budget       {given.budget}: {plan.difference(wanted, size, given.density)}, as chosen before")
        return size
    costs = estimate.measured(rows, records, say)
    size, seconds = plan.choose(config, lambda one: estimate.seconds(searches(config, rows, one).values(), records, costs))
    enough = f"{math.ceil(seconds / 60)}min or more here, for {plan.difference(wanted, size, given.density)}"
    require(seconds <= plan.budget(given.budget), "study.budget", given.budget, enough)
    signals.stop("nothing was trained yet")
    less, left = plan.difference(wanted, size, given.density), duration(seconds)
    say(f"budget       {given.budget}: {less}; about {left} of training are left")
    return size


def _asked(config: Config, rows: Rows) -> str:
    """Return a hash of what is asked for: for the same the same is chosen."""
    keys = [row.tickets()[0].key for row in rows.values()]
    return of_json([keys, asdict(config.study), asdict(config.prune), config.epochs])


def show(outputs: Path, say: Say) -> None:
    """Export the chosen tickets of the first seed; write study.md, study.csv and study.png, and print the table and verdicts."""
    what, found = study.read(outputs), read(outputs)
    records = study.of(what, found.records)
    if not records:
        return
    tickets = [next(iter(arm.values())) for arm, v in study.chosen(records) if v]
    measure.export(tickets, outputs / "study", say)
    exports = cards.read(found)
    frame = study.frame_of(records, exports)
    files.write_bytes(outputs / "study.md", study.document(records, what, exports).encode())
    files.write_bytes(outputs / "study.csv", frame.to_csv(index=False).encode())
    files.write_bytes(outputs / "study.png", draw.saved(draw.draw(study.figure(records))))
    say(f"\n{study.caption(records, what, exports)}\n\n{table.markdown(frame)}\n")
    say("\n".join(statement.brief(records)))
    say(f"study        {outputs / 'study.md'}, study.csv, study.png")
    say(f"report       python -m lth.report {shlex.quote(str(outputs))}")
