"""``python -m lth``: which commands there are. Imports no torch."""

import sys

import lth

COMMANDS = {
    "run": "train, prune, rewind, repeat; --help lists every key",
    "report": "one page, figures and tables of an outputs folder",
    "verify": "check every finished round of an outputs folder, from its files alone",
    "board": "open TensorBoard on an outputs folder",
}


def main() -> None:
    """Print the commands; or the version, for ``--version``."""
    print(f"lth {lth.__version__}" + ("" if "--version" in sys.argv[1:] else ": find and check lottery tickets"))
    if "--version" not in sys.argv[1:]:
        print("\n".join(f"  python -m lth.{name:7} {what}" for name, what in COMMANDS.items()))


if __name__ == "__main__":
    main()
