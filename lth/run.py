"""The door: ``python -m lth.run key=value ...``."""

import signal

if __name__ == "__main__":  # Ctrl-C while all this is imported ends without a traceback; ``main`` takes it over
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import math
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lth import __version__
from lth import config as schema
from lth.cli import guard, signals, sweep, usage
from lth.errors import Interrupted, LthError, UsageError, unheard

HERE = Path(__file__).resolve().parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"  # inside the wheel, or beside the package

_records: list[dict] = []  # of all jobs of this process, for the table and the figure of a sweep
_failures: list[tuple[str, Exception]] = []
_full_error = os.environ.get("HYDRA_FULL_ERROR") == "1"

schema.register()


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float:
    """One experiment; returns what sweepers optimise, see ``search.score``.

    A job that fails returns NaN and is told of at the end, so that a sweep's other jobs run.
    """
    try:
        from lth.training.device import is_first
        from lth.training.search import score, search

        usage.require_known(cfg)
        config = OmegaConf.to_object(cfg)
        if config.trainer.devices > 1 and HydraConfig.get().mode == RunMode.MULTIRUN:
            raise UsageError(f"trainer.devices={config.trainer.devices} is not accepted in a sweep (-m): it takes 1 there.")
        if config.trainer.devices == 1:  # else Lightning stops all ranks by itself
            signals.listen()
        records = search(config, say=print if is_first() else lambda line: None, job=sweep.job())
        _records.extend(records)
        if is_first():
            _show(Path(cfg.outputs), records, cfg.logger.name)
        return score(config, records)
    except Exception as error:
        stopped = any(isinstance(before, Interrupted) for _, before in _failures)
        if not (stopped and isinstance(error, Interrupted)):  # a sweep's other jobs are stopped by the same signal
            _failures.append(("" if isinstance(error, Interrupted) else _job_name(), error))
        if _full_error:
            raise
        return math.nan


def _job_name() -> str:
    current = HydraConfig.get()
    return f"job {current.job.num} ({current.job.override_dirname}) failed: " if current.mode == RunMode.MULTIRUN else ""


def _show(outputs: Path, records: list[dict], logger: str) -> None:
    """Print the job's table; write table, verdict and figures of all jobs so far."""
    from lth.analysis import statement, table
    from lth.tracking import chains as experiment
    from lth.tree import files

    unique = list({record["key"]: record for record in _records}.values())
    several = len({record["seed"] for record in unique}) > 1
    files.write_bytes(outputs / "table.md", table.document(unique).encode())
    judged = statement.text(unique)
    files.write_bytes(outputs / "verdict.md", judged.encode())
    if logger == "tensorboard":
        experiment.verdict(outputs, judged)
    pictures = _figures(unique)
    for name, picture in pictures.items():
        files.write_bytes(outputs / name, picture)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    tables = [(table.caption(records, each=True), table.table(records))]
    tables += [(table.caption(unique), table.summary(unique))] * several
    print("\n" + "\n\n".join(f"{caption}\n{table.fitting(text, width)}" for caption, text in tables) + "\n")
    print("\n".join(statement.brief(unique)))
    print(f"tables       {outputs / 'table.md'}, {outputs / 'verdict.md'}, {outputs / 'results.csv'}")
    print(f"figures      {', '.join(str(outputs / name) for name in pictures)}")
    if logger == "tensorboard":
        print(f"TensorBoard  python -m lth.board {shlex.quote(str(outputs))}")
    print(f"report       python -m lth.report {shlex.quote(str(outputs))}")


def _figures(records: list[Any]) -> dict[str, bytes]:
    """File name -> PNG."""
    from lth.report import draw, scores

    plots = scores.figures(records, f"{records[-1].model} on {records[-1].data}")
    names = {"accuracy": "figure.png", "early_stop": "early_stop.png", "barrier": "barrier.png"}
    return {names[key]: draw.saved(draw.draw(plot)) for key, plot in plots.items()}


def main() -> None:
    """Run, and say what went wrong in one sentence: exit code 2 for usage, 1 for data and run-time trouble."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands its errors to us instead of printing them
    if "--version" in sys.argv[1:]:
        print(f"lth {__version__}")
        return
    argparse.ArgumentParser.error = _refuse  # of Hydra's parser, which else prints its usage
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda a: a not in ("-m", "--multirun"))  # argparse wants it in front of overrides
    try:
        guard.check(sys.argv[1:])
        job()
        sys.stdout.flush()
    except Exception as error:
        if _full_error:
            raise
        _failures.append(("", error))
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and not signals.asked():  # Lightning makes that of a second Ctrl-C
            raise
        print("lth: stopped; finished rounds are kept, and the same command goes on from the last saved point.", file=sys.stderr)
        sys.exit(130)
    for name, error in _failures:
        print(f"lth: {name}{_explain(error)}", file=sys.stderr)
        unheard(error)
    if _failures:
        sys.exit(max(_exit_code(error) for _, error in _failures))


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise UsageError(f"the command line is not accepted: {message}; the options are --help, --version, --cfg job and -m.")


def _explain(error: Exception) -> str:
    if isinstance(error, LthError):
        return str(error)
    if _of_usage(error):
        return usage.sentence(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}; finished rounds are kept, and the same command goes on once that is mended."
    return f"{type(error).__name__}: {error} (HYDRA_FULL_ERROR=1 shows where)"


def _exit_code(error: Exception) -> int:
    if isinstance(error, LthError):
        return error.exit_code
    return 2 if _of_usage(error) else 1


def _of_usage(error: Exception) -> bool:
    """Whether it is Hydra's or OmegaConf's word on the command line; of a group's choice that is no name, a ValueError."""
    no_name = isinstance(error, ValueError) and str(error).startswith("Config group override")
    return no_name or isinstance(error, (HydraException, OmegaConfBaseException))


if __name__ == "__main__":
    main()
