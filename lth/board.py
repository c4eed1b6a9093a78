"""``python -m lth.board [outputs] [--port 6007 ...]``: open TensorBoard on an outputs folder; options are TensorBoard's own."""

import argparse
import os
import socket
import sys
from pathlib import Path

from lth.cli.command import run_command
from lth.errors import DataError

PAGE = "?smoothing=0#custom_scalars&_smoothingWeight=0"  # TensorBoard's 0.6 would falsify curves of few rounds


def command(arguments: list[str]) -> tuple[list[str], str]:
    """Return the command that opens TensorBoard, and the address of its page on chains. Raises DataError without rounds."""
    parser = argparse.ArgumentParser("python -m lth.board", description=__doc__, allow_abbrev=False)
    parser.add_argument("outputs", nargs="?", default="outputs", type=Path, help="folder of rounds (outputs)")
    parser.add_argument("--port", type=int, help="where TensorBoard answers (the first free one from 6006 on)")
    options, others = parser.parse_known_args(arguments)
    if not any(options.outputs.glob("rounds/*/")):
        raise DataError(f"{options.outputs} holds no rounds; train some with python -m lth.run outputs={options.outputs}.")
    port = options.port or next(filter(_free, range(6006, 2**16)))
    line = [sys.executable, "-m", "tensorboard.main", "--logdir", str(options.outputs), "--port", str(port), *others]
    return line, f"http://localhost:{port}/{PAGE}"


def _free(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("localhost", port)) != 0


def _open() -> int:
    line, address = command(sys.argv[1:])
    print(f"TensorBoard without smoothing: {address}", flush=True)
    os.execv(line[0], line)


def main() -> None:
    """Become TensorBoard."""
    run_command(_open)


if __name__ == "__main__":
    main()
