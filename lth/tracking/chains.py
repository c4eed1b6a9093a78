"""What TensorBoard shows of a whole chain: a run whose step is the round. Imports no torch where all is there.

outputs/experiments/<model>-<data>-seed<s>-<how>-<hash>/   one a chain and seed, and one a control of it (-reinit, ...)
  events.out.tfevents.r<round>.<key>  of a finished round: scores, each layer's density, histograms of weights and masks
  events.out.tfevents.chain.<hash>    replaced when a round joins: scores against weights remaining, the page's layout
outputs/experiments/verdict/             the text of the last command's verdicts
"""

import hashlib
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

from lth.analysis import naming
from lth.config import Config
from lth.tree import spec as key
from lth.tree.spec import Spec
from lth.tree.store import Store

ROUND, CHAIN = "events.out.tfevents.r", "events.out.tfevents.chain."  # read in the order of their names
SCORES = {  # tag: field of a record, factor
    "by round/test acc at early stop": ("early_stop_test_acc", 1),
    "by round/test acc, last epoch": ("test_acc", 1),
    "by round/val acc, last epoch": ("val_acc", 1),
    "by round/test acc at best val": ("best_test_acc", 1),
    "by round/train acc, running": ("train_acc", 1),
    "by round/early-stop iteration": ("early_stop_iteration", 1),
    "by round/density": ("density", 1),
    "by round/effective density": ("effective_density", 1),
    "by round/weights remaining, percent": ("density", 100),
    "by round/theoretical speed-up": ("speedup", 1),
}
AGAINST = {
    name: f"against weights remaining/{name}"
    for name in ("test acc at early stop", "val acc, last epoch", "early-stop iteration")
}
LAYOUT = {
    "Against weights remaining (x: hundredths of a percent, 10000 is dense)": {n: [f"^{tag}$"] for n, tag in AGAINST.items()},
    "By round of pruning (x: round)": {
        "test accuracy at early stop": ["^by round/test acc at early stop$"],
        "validation accuracy, last epoch": ["^by round/val acc, last epoch$"],
        "early-stop iteration": ["^by round/early-stop iteration$"],
        "weights remaining, percent": ["^by round/weights remaining, percent$"],
        "density of each layer": ["^density by round/.*"],
    },
    "Learning curves, a line a round (x: iteration)": {
        "validation accuracy": ["^val/acc$"],
        "training accuracy": ["^train/acc$"],
        "validation loss": ["^val/loss$"],
        "training loss": ["^train/loss$"],
    },
}


class Experiment:
    """The runs of one job: of its chain, and of the controls beside it."""

    def __init__(self, config: Config, specs: list[Spec], store: Store) -> None:
        self.store, self.root = store, specs[0].key
        self.name = _name(config, specs[-1]) if specs[-1].parent else ""  # a dense network alone is no chain
        self.folder = store.outputs / "experiments"

    def enter(self, record: dict[str, Any]) -> None:
        """Give a finished round its points, unless it has them."""
        beside = record["parent"] is None and record["key"] != self.root  # a dense network trained for longer
        if not self.name or beside:
            return
        run = self.folder / "-".join(filter(None, [self.name, naming.control(record)]))
        depth = record["round"] * record["levels"]
        path = run / f"{ROUND}{depth:04d}.{record['key']}"
        if path.exists():
            return
        others = [self.store.read(p.name.rpartition(".")[2]) for p in run.glob(f"{ROUND}*")]
        _curve(run, [record, *filter(None, others)])
        from lth.tracking import events

        events.write(path, [(depth, summary) for summary in _points(record, self.store)], _when(record))


def verdict(outputs: Path, text: str) -> None:
    """Show the verdicts (Markdown) in a run of their own; those of an earlier command go."""
    _replace(outputs / "experiments" / "verdict", [("verdict", text)], datetime.now().timestamp())


def _name(config: Config, last: Spec) -> str:
    prune = {n: value for n, value in last.content["prune"].items() if n != "levels"} if "prune" in last.content else {}
    digest = hashlib.sha256(json.dumps([last.recipe, prune], sort_keys=True).encode()).hexdigest()[:6]
    record = {**key.determining(config.prune), "round": last.index}
    how = re.sub(r"[^\w.]+", "-", naming.method(record)) if not naming.plain(record) else ""
    shot = "oneshot" if config.prune.schedule == "one_shot" else ""
    parts = [config.model.name, config.data.name, f"seed{config.seed}", shot, f"rate{config.prune.rate:g}", how, digest]
    return "-".join(filter(None, parts))


def _when(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["finished"]).timestamp()


def _points(record: dict[str, Any], store: Store) -> list[Any]:
    """The summaries of a round, from its files alone."""
    from lth.tracking import events
    from lth.tree import ticket
    from lth.tree.files import read_tensors

    folder = store.folder(record["key"])
    found = [events.scalar(tag, record[n] * factor) for tag, (n, factor) in SCORES.items() if record.get(n) is not None]
    found += [events.scalar(f"density by round/{_short(n)}", density) for n, density in record["layers"].items()]
    weights, _ = read_tensors(folder / "final.safetensors")
    for name, mask in ticket.load_ticket(folder).masks.items():
        kept = weights[name][mask].float().numpy()
        shares = mask.flatten(1).float().mean(1).numpy()
        found.append(events.histogram(f"kept weights by round/{_short(name)}", kept[:: max(1, len(kept) // 10**6)]))
        found.append(events.histogram(f"mask by round, share kept of each output unit/{_short(name)}", shares))
    return found


def _short(name: str) -> str:
    return name.removesuffix(".weight")


def _curve(run: Path, records: list[dict[str, Any]]) -> None:
    """Scores with weights remaining as the step, the sparsest first: TensorBoard drops what goes back in steps."""
    points = []
    for record in sorted(records, key=lambda r: r["density"]):
        step = round(10**4 * record["density"])
        scores = [(tag, record.get(SCORES[f"by round/{name}"][0])) for name, tag in AGAINST.items()]
        points += [(step, tag, score) for tag, score in scores if score is not None]
    _replace(run, points, max(map(_when, records)))


def _replace(run: Path, content: list[tuple[Any, ...]], when: float) -> None:
    """The file of a whole run, named by its content: nothing is written where it is there; what it replaces goes."""
    digest = hashlib.sha256(json.dumps([content, LAYOUT]).encode()).hexdigest()[:12]
    path = run / f"{CHAIN}{digest}"
    if path.exists():
        return
    from lth.tracking import events

    shown = [(0, events.text(*c)) if len(c) == 2 else (c[0], events.scalar(*c[1:])) for c in content]
    events.write(path, [(0, events.layout(LAYOUT)), *shown], when)
    for old in run.glob(f"{CHAIN}*"):
        if old != path:
            old.unlink(missing_ok=True)
