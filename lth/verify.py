"""The door: ``python -m lth.verify [outputs]``. Imports no torch until there is a round to check."""

import argparse
import sys
from pathlib import Path

from lth.errors import LthError


def main() -> None:
    """Prove every finished round of a folder again, from its files alone.

    Exit code 0 if all are whole, 1 if one is broken, 2 if there is nothing to check.
    """
    parser = argparse.ArgumentParser(prog="python -m lth.verify", description=main.__doc__)
    parser.add_argument("outputs", nargs="?", default="outputs", type=Path, help="folder of an experiment (default: outputs)")
    outputs = parser.parse_args().outputs
    from lth.rounds.verify import verify  # after --help has answered

    try:
        sys.exit(1 if verify(outputs) else 0)
    except (LthError, OSError) as error:  # of the folder itself, or of whom it is told
        print(f"lth: {error}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, LthError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
