"""``python -m lth.run key=value ...``: search for a winning ticket."""

import signal

if __name__ == "__main__":  # Ctrl-C while all this is imported ends without a traceback; ``main`` takes it over
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import math
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from lth import __version__, config
from lth.cli import signals, sweep, usage
from lth.cli.command import run_command
from lth.errors import UsageError

HERE = Path(__file__).resolve().parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"  # in the wheel, or beside the package

config.register()
sys.path.append(str(HERE / "plugins"))  # where Hydra finds hydra_plugins


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float:
    """Run one experiment and return what sweepers optimise, see ``search.score``; NaN if it failed."""
    try:
        chosen = usage.config(cfg)
        if chosen.study.models:
            from lth.study import command

            return command.start(chosen)
        if usage.dry():
            from lth.launch import jobs

            jobs.plan([chosen])
            return math.nan
        devices = chosen.trainer.devices
        if devices > 1 and sweep.current():  # Lightning starts their processes by repeating the command
            raise UsageError(
                f"trainer.devices={devices} is not accepted in a sweep (-m): it takes 1 there, or hydra/launcher=local."
            )
        from lth.tracking import job as results  # costs a second, and a typo should not
        from lth.training.device import is_first
        from lth.training.search import score, search

        if devices == 1:  # else Lightning stops all ranks by itself
            signals.listen()
        records = search(chosen, say=print if is_first() else lambda line: None, job=sweep.title())
        if is_first():
            results.show(chosen, records, sweep.collect(records))
        return score(chosen, records)
    except Exception as error:
        sweep.failed(error)
        return math.nan


def main() -> None:
    """Run the command; its exit code is 2 for usage, 1 for trouble with data or while training, 0 if all is well."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_command(_run, "stopped; finished rounds are kept, and the same command goes on from the last checkpoint.")


def _run() -> int:
    if "--version" in sys.argv[1:]:
        print(f"lth {__version__}")
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors instead of printing them
    sys.path.append(os.getcwd())  # for the modules that model.target and _target_ name
    usage.prepare()
    try:
        job()
        if usage.dry():
            from lth.launch import jobs

            if text := jobs.outline():
                print(text)
    except SystemExit:  # what Lightning makes of a second Ctrl-C
        if not signals.asked():
            raise
        raise KeyboardInterrupt from None
    except Exception as error:
        sweep.failed(usage.refusal(error))
    return sweep.end()


if __name__ == "__main__":
    main()
