"""The command ``python -m lth.verify [outputs]``."""

import argparse
from pathlib import Path

from lth.cli.command import run_command


def main() -> None:
    """Check every finished round of a folder again, from its files alone.

    Exit code 0 if all are valid, 1 if one is broken, 2 if there is nothing to check.
    """
    parser = argparse.ArgumentParser(prog="python -m lth.verify", description=main.__doc__)
    parser.add_argument("outputs", nargs="?", default="outputs", type=Path, help="folder of an experiment (default: outputs)")
    outputs = parser.parse_args().outputs
    from lth.invariants.verify import verify  # after --help has answered

    run_command(lambda: 1 if verify(outputs) else 0)


if __name__ == "__main__":
    main()
