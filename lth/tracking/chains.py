"""What TensorBoard shows of a whole chain: a run whose step is the round. Imports no torch where nothing is to be written.

outputs/experiments/<model>-seed<s>-rate<r>-<hash>/  a chain of one seed; beside it one for each control (-reinit, ...)
  events.out.tfevents.<round>.<key>  of a finished round: scores, each layer's density, histograms of weights and masks
outputs/experiments/verdict/         the text of the last command's verdicts
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lth.config import Prune
from lth.hashes import of_json
from lth.tree import files
from lth.tree.record import Record
from lth.tree.spec import Spec

EVENTS = "events.out.tfevents."
SCORES = {  # name of a curve: field of a record
    "test acc at early stop": "early_stop_test_acc",
    "test acc, last epoch": "test_acc",
    "val acc, last epoch": "val_acc",
    "test acc at best val": "best_test_acc",
    "train acc, running": "train_acc",
    "early-stop iteration": "early_stop_iteration",
    "effective density": "effective_density",
    "weights remaining": "density",
    "theoretical speed-up": "speedup",
}
# Also drawn against sparsity, in hundredths of a percent: TensorBoard's steps are integers, and it drops those that do not rise.
AGAINST = ("test acc at early stop", "val acc, last epoch", "early-stop iteration")


def enter(outputs: Path, last: Spec, record: Record) -> None:
    """Write a finished round into the run of the chain that ends with ``last``, or of its control, unless it exists.

    A dense network alone is no chain, and one that was trained for longer is in none.
    """
    if last.parent is None or (record.parent is None and record.key != last.root.key):
        return
    run = outputs / "experiments" / "-".join(filter(None, [_name(last, record), record.control]))
    step = record.round * record.levels
    path = run / f"{EVENTS}{step:04d}.{record.key}"  # TensorBoard reads files in the order of their names
    if path.exists():
        return
    with _writer(path) as board:
        for name, field in SCORES.items():
            if (value := getattr(record, field)) is not None:
                board.add_scalar(f"by round/{name}", value, step)
                if name in AGAINST:
                    board.add_scalar(f"against sparsity/{name}", value, round(10**4 * (1 - record.density)))
        _add_layers(board, record, step)


def _add_layers(board: Any, record: Record, step: int) -> None:
    """Add of each layer its density, its remaining weights and the density of each of its units."""
    from lth.tree.ticket import load_final, load_ticket

    weights, _ = load_final(record.folder)
    for name, mask in load_ticket(record.folder).masks.items():
        layer, remaining = name.removesuffix(".weight"), weights[name][mask].float()
        board.add_scalar(f"density/{layer}", record.layers[name], step)
        if len(remaining):
            board.add_histogram(f"remaining weights/{layer}", remaining, step, bins=50)
        board.add_histogram(f"density of output units/{layer}", mask.flatten(1).float().mean(1), step, bins=50)


def verdict(outputs: Path, text: str) -> None:
    """Show the verdicts (Markdown) in a run of their own, in place of those of an earlier command."""
    path = outputs / "experiments" / "verdict" / f"{EVENTS}{of_json(text)[:12]}"
    if not path.exists():
        shutil.rmtree(path.parent, ignore_errors=True)
        with _writer(path) as board:
            board.add_text("verdict", text)


def _name(last: Spec, record: Record) -> str:
    """Return ``simple_cnn-seed0-rate0.2-3f2a1b``; what is not default in how the chain is pruned stands before its hash."""
    prune = {name: value for name, value in last.content["prune"].items() if name != "levels"}
    how = [prune[name] for name in ("schedule", "criterion", "allocation", "rewind", "retrain") if name in prune]
    chain = of_json([last.recipe, prune])[:6]
    arm = prune.get("ticket")  # whose masks another round found
    rate = f"ticket{arm['round']}of{arm['recipe'][:6]}" if arm else f"rate{prune.get('rate', Prune.rate):g}"
    return "-".join([record.model.replace(":", "."), f"seed{record.seed}", rate, *how, chain])


@contextmanager
def _writer(path: Path) -> Iterator[Any]:
    """A SummaryWriter whose file appears as a whole at ``path``, so that neither TensorBoard nor a kill meets a part of it."""
    from torch.utils.tensorboard import SummaryWriter

    with TemporaryDirectory() as draft:
        with SummaryWriter(draft) as board:
            yield board
        [written] = Path(draft).iterdir()
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, written.read_bytes())
