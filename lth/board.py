"""The door to TensorBoard: ``python -m lth.board [outputs] [--port 6007 ...]``; other options are TensorBoard's own."""

import os
import sys
from pathlib import Path

from lth.errors import DataError, door


def command(arguments: list[str]) -> list[str]:
    """The command that opens TensorBoard on an outputs folder, rounds and experiments both.

    Args:
        arguments: the folder first, unless it is ``outputs``; then what is passed on.

    Raises:
        DataError: the folder holds no rounds.
    """
    named = arguments[:1] if arguments and not arguments[0].startswith("-") else []
    outputs = Path(*named or ["outputs"])
    if not any(outputs.glob("rounds/*/")):
        raise DataError(f"{outputs} holds no rounds; train some with python -m lth.run outputs={outputs}.")
    return [sys.executable, "-m", "tensorboard.main", "--logdir", str(outputs), *arguments[len(named) :]]


def main() -> None:
    """Become TensorBoard; exit code 1 and one sentence where there is nothing to show."""
    if {"-h", "--help"} & set(sys.argv[1:2]):
        print(f"{__doc__}\n\nusage: python -m lth.board [outputs] [options of TensorBoard]")
        return
    door(_open)


def _open() -> int:
    line = command(sys.argv[1:])
    print("Points of rounds are few: set smoothing to 0, or open .../?smoothing=0#custom_scalars&_smoothingWeight=0", flush=True)
    os.execv(line[0], line)


if __name__ == "__main__":
    main()
