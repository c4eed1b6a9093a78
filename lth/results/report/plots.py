"""Plots of one chain of rounds: learning curves, densities, classes."""

import numpy as np

from lth.results import naming
from lth.results.plot import COLOURS, Heat, Line, Lines, pretty
from lth.results.report import read
from lth.results.report.choose import Chain
from lth.results.report.read import Found, Record

BEGIN_WITH = 4  # learning curves that are shown at first
DASHES = ("-", "--", ":", "-.")


def short(record: Record) -> str:
    """A round in a few words, for legends and axes."""
    control = naming.CONTROLS.get(naming.control(record), naming.control(record))
    name = f"round {record['round']}, {pretty(record['density'])}" if record["round"] else "dense network"
    return f"{name}, {control}" if control else name


def spread(records: list[Record], count: int) -> list[Record]:
    """At most ``count`` of them, evenly over their order, first and last included."""
    if len(records) <= count:
        return list(records)
    return [records[i] for i in sorted({round(i) for i in np.linspace(0, len(records) - 1, count)})]


def style(i: int) -> dict[str, str]:
    """A colour, and a dash once the colours are used up: told apart without colour, too."""
    return {"colour": COLOURS[i % len(COLOURS)], "dash": DASHES[i // len(COLOURS) % len(DASHES)]}


def curves(chain: Chain, found: Found) -> list[Lines]:
    """Validation loss and accuracy of the rounds of a seed against iterations; [] where no metrics.csv can be read."""
    rounds = spread(chain.rounds, 14)
    first = {record["key"] for record in spread(rounds, BEGIN_WITH)}
    histories = []
    for record in rounds:
        try:
            histories.append((record, read.history(record)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            found.skip(record["folder"], f"its metrics.csv cannot be read ({error}); left out of learning curves")
    if not histories:
        return []

    def lines(name: str) -> list[Line]:
        return [
            Line(short(record), [r["iteration"] for r in rows], [r[name] for r in rows], shown=record["key"] in first, **style(i))
            for i, (record, rows) in enumerate(histories)
        ]

    where = f"{chain.label}, seed {chain.seed}"
    return [
        Lines(
            f"Validation loss: {where}", "iteration (optimiser steps)", "validation loss, nats", lines("val_loss"), y_form="log"
        ),
        Lines(
            f"Validation accuracy: {where}",
            "iteration (optimiser steps)",
            "validation accuracy",
            lines("val_acc"),
            y_form="percent",
        ),
    ]


def density(chain: Chain) -> Heat | None:
    """Density of each layer (rows) in each round (columns); None without a ticket that says its layers'."""
    rounds = [r for r in spread(chain.rounds, 24) if r["layers"]]
    names = list(dict.fromkeys(name for r in rounds for name in r["layers"]))
    if not any(r["round"] for r in rounds) or not names:
        return None
    share = [[r["layers"][n][1] if n in r["layers"] else None for r in rounds] for n in names]
    return Heat(
        f"{chain.label}, seed {chain.seed}",
        "round",
        "layer, from input to output",
        "weights remaining, % of the layer",
        [[None if v is None else 100 * v for v in row] for row in share],
        [str(r["round"] * r["at_once"]) for r in rounds],
        [name.removesuffix(".weight") for name in names],
        [["" if v is None else f"{100 * v:.1f}" for v in row] for row in share],
        (0.0, 100.0),
    )


def _confusion(record: Record, found: Found) -> tuple[list[str], np.ndarray] | None:
    """Class names, and the fraction of each true class (rows) that is given each class (columns)."""
    try:
        told = read.whole(record)
        names, counts = [str(name) for name in told["classes"]], np.array(told["test_confusion"], dtype=float)
        if counts.shape != (len(names), len(names)):
            raise ValueError(f"a confusion matrix of {counts.shape} for {len(names)} classes")
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.skip(record["folder"], f"its confusion matrix cannot be read ({type(error).__name__}: {error})")
        return None
    return names, counts / np.maximum(1, counts.sum(axis=1, keepdims=True))


def classes(chain: Chain, found: Found) -> tuple[list[Heat], Lines | None]:
    """Confusion matrices of the dense network, of the ticket, and their difference; and the accuracy of each class."""
    told = [(record, shares) for record in chain.ends if (shares := _confusion(record, found)) is not None]
    if not told:
        return [], None
    names, where = told[0][1][0], f", seed {chain.seed}"
    heats = [_matrix(short(record) + where, names, shares) for record, (_, shares) in told]
    if len(told) == 2 and told[1][1][0] == names:
        heats.append(_change(f"{short(told[1][0])}, less {short(told[0][0])}", names, told[1][1][1] - told[0][1][1]))
    lines = [
        Line(short(record) + where, own, np.diag(shares).tolist(), dash="", marker="ox"[i], colour=COLOURS[i])
        for i, (record, (own, shares)) in enumerate(told)
    ]
    title = f"{chain.label}{where}"
    return heats, Lines(
        f"Accuracy of each class: {title}", "class", "test accuracy of the class, last epoch", lines, "category", "percent"
    )


def _matrix(title: str, names: list[str], shares: np.ndarray) -> Heat:
    text = [[f"{100 * v:.1f}" if v else "" for v in row] for row in shares]
    return Heat(title, "given class", "true class", "% of the true class", 100 * shares, names, names, text, (0.0, 100.0))


def _change(title: str, names: list[str], change: np.ndarray) -> Heat:
    end = max(0.1, 100 * float(np.abs(change).max()))
    text = [[f"{100 * v:+.1f}" if abs(v) >= 0.0005 else "" for v in row] for row in change]
    return Heat(title, "given class", "true class", "percentage points", 100 * change, names, names, text, (-end, end), True)
