"""``python -m lth.board [outputs] [--port 6007 ...]``: open TensorBoard on an outputs folder; options are TensorBoard's own."""

import argparse
import sys
import threading
from pathlib import Path

from lth.cli.command import run_command
from lth.errors import DataError

PAGE = "?smoothing=0#timeseries"  # TensorBoard's 0.6 would falsify curves of few rounds


def _serve() -> int:
    parser = argparse.ArgumentParser("python -m lth.board", description=__doc__, allow_abbrev=False)
    parser.add_argument("outputs", nargs="?", default="outputs", type=Path, help="folder of rounds (outputs)")
    options, others = parser.parse_known_args()
    if not any(options.outputs.glob("rounds/*/")):
        raise DataError(f"{options.outputs} holds no rounds; train some with python -m lth.run outputs={options.outputs}.")
    from tensorboard.program import TensorBoard

    server = TensorBoard()
    server.configure([sys.argv[0], "--logdir", str(options.outputs), *others])
    print(f"TensorBoard without smoothing: {server.launch()}{PAGE}", flush=True)
    threading.Event().wait()  # until Ctrl-C
    return 0


def main() -> None:
    """Serve TensorBoard until Ctrl-C."""
    run_command(_serve)


if __name__ == "__main__":
    main()
