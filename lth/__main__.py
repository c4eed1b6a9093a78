"""``python -m lth``: list the commands. Imports no torch."""

import sys

import lth

COMMANDS = {
    "run": "train, prune, rewind, repeat; --help lists every key",
    "report": "one page, figures and tables of an outputs folder",
    "verify": "check every finished round of an outputs folder, from its files alone",
    "board": "open TensorBoard on an outputs folder",
    "export": "write a finished round as files that run without lth: ONNX, torch.export, weights, a card",
    "predict": "name the classes of images by an exported network",
}


def main() -> None:
    """Print the commands, or the version for ``--version``."""
    if "--version" in sys.argv[1:]:
        print(f"lth {lth.__version__}")
        return
    print(f"lth {lth.__version__}: find and check lottery tickets")
    for name, what in COMMANDS.items():
        print(f"  python -m lth.{name:8} {what}")


if __name__ == "__main__":
    main()
