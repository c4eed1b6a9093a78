"""What TensorBoard shows of a whole chain: a run whose step is the round. Imports no torch where nothing is to be written.

outputs/experiments/<model>-seed<s>-rate<r>-<hash>/  a chain of one seed; beside it one for each control (-reinit, ...)
  events.out.tfevents.<round>.<key>  of a finished round: scores, each layer's density, histograms of weights and masks
outputs/experiments/verdict/         the text of the last command's verdicts
"""

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
SCORES = {  # name of a curve: field of a record, factor
    "test acc at early stop": ("early_stop_test_acc", 1),
    "test acc, last epoch": ("test_acc", 1),
    "val acc, last epoch": ("val_acc", 1),
    "test acc at best val": ("best_test_acc", 1),
    "train acc, running": ("train_acc", 1),
    "early-stop iteration": ("early_stop_iteration", 1),
    "effective density": ("effective_density", 1),
    "weights remaining, percent": ("density", 100),
    "theoretical speed-up": ("speedup", 1),
}
AGAINST = ("test acc at early stop", "val acc, last epoch", "early-stop iteration")
CHARTS = {  # of the page of custom scalars; category: tags, as regular expressions
    # TensorBoard's steps are integers, and it drops those that do not rise: so not weights remaining, nor a fraction.
    "Against sparsity (x: hundredths of a percent of the weights pruned, from 0, dense, to 10000)": [
        f"against sparsity/{name}" for name in AGAINST
    ],
    "By round of pruning (x: round)": [*(f"by round/{name}" for name in (*AGAINST, "weights remaining, percent")), "density/.*"],
    "Learning curves, a line a round (x: iteration)": ["val/acc", "train/acc", "val/loss", "train/loss"],
}


def enter(outputs: Path, last: Spec, record: Record) -> None:
    """Write a finished round into the run of the chain that ends with ``last``, or of its control, unless it exists.

    A dense network alone is no chain, and one that was trained for longer is in none.
    """
    if last.parent is None or (record.parent is None and record.key != last.root.key):
        return
    run = outputs / "experiments" / "-".join(filter(None, [_name(last, record), record.control]))
    step = record.round * record.levels
    path = run / f"{EVENTS}{step:04d}.{record.key}"  # TensorBoard reads files in the order of their names
    if not path.exists():
        with _writer(path) as board:
            board.add_custom_scalars(
                {title: {tag: ["Multiline", [f"^{tag}$"]] for tag in tags} for title, tags in CHARTS.items()}
            )
            _scalars(board, record, step)
            _histograms(board, record, step)


def verdict(outputs: Path, text: str) -> None:
    """Show the verdicts (Markdown) in a run of their own, in place of those of an earlier command."""
    path = outputs / "experiments" / "verdict" / f"{EVENTS}{of_json(text)[:12]}"
    if not path.exists():
        for old in path.parent.glob(f"{EVENTS}*"):
            old.unlink(missing_ok=True)
        with _writer(path) as board:
            board.add_text("verdict", text)


def _name(last: Spec, record: Record) -> str:
    """Return ``simple_cnn-seed0-rate0.2-3f2a1b``; what is not default in how the chain is pruned stands before its hash."""
    prune = {name: value for name, value in last.content["prune"].items() if name != "levels"}
    how = [prune[name] for name in ("criterion", "allocation", "rewind", "retrain") if name in prune]
    chain = of_json([last.recipe, prune])[:6]
    return "-".join([record.model, f"seed{record.seed}", f"rate{prune.get('rate', Prune.rate):g}", *how, chain])


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


def _scalars(board: Any, record: Record, step: int) -> None:
    for name, (field, factor) in SCORES.items():
        if (value := getattr(record, field)) is not None:
            board.add_scalar(f"by round/{name}", value * factor, step)
            if name in AGAINST:
                board.add_scalar(f"against sparsity/{name}", value, round(10**4 * (1 - record.density)))
    for name, density in record.layers.items():
        board.add_scalar(f"density/{name.removesuffix('.weight')}", density, step)


def _histograms(board: Any, record: Record, step: int) -> None:
    """Add the remaining weights of each layer (at most about a million of them), and the density of each of its units."""
    from lth.tree.ticket import load_final, load_ticket

    weights, _ = load_final(record.folder)
    for name, mask in load_ticket(record.folder).masks.items():
        layer, remaining = name.removesuffix(".weight"), weights[name][mask].float()
        if len(remaining):
            sample = remaining[:: max(1, len(remaining) // 10**6)]
            board.add_histogram(f"remaining weights/{layer}", sample, step, bins=50)
        board.add_histogram(f"density of output units/{layer}", mask.flatten(1).float().mean(1), step, bins=50)
