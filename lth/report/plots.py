"""Plots of one chain of rounds: learning curves, densities, classes."""

import numpy as np

from lth.analysis import naming
from lth.report import read
from lth.report.choose import Chain
from lth.report.plot import COLOURS, Heat, Line, Lines, pretty
from lth.report.read import Found, Record

BEGIN_WITH = 4  # learning curves that are shown at first
CLASSES = 40  # in a confusion matrix: as many as have room for their names
DASHES = ("-", "--", ":", "-.")
Shares = tuple[list[str], np.ndarray]  # class names; fractions of each true class (rows) that are given each class


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


def styles(rounds: list[Record], first: set[str]) -> dict[str, dict[str, str]]:
    """Key -> style: those whose keys are ``first`` have the first colours, so that no two of them share one."""
    ordered = sorted(rounds, key=lambda record: record["key"] not in first)
    return {record["key"]: style(i) for i, record in enumerate(ordered)}


def style(i: int) -> dict[str, str]:
    """A colour, and a dash once the colours are used up: told apart without colour, too."""
    return {"colour": COLOURS[i % len(COLOURS)], "dash": DASHES[i // len(COLOURS) % len(DASHES)]}


def curves(chain: Chain, found: Found) -> list[Lines]:
    """Validation loss and accuracy of the rounds of a seed against iterations; [] where no metrics.csv can be read."""
    rounds = spread(chain.rounds, 14)
    first = {record["key"] for record in spread(rounds, BEGIN_WITH)}
    drawn, histories = styles(rounds, first), _histories(rounds, found)
    where, x = f"{chain.label}, seed {chain.seed}", "iteration (optimiser steps)"

    def lines(name: str) -> list[Line]:
        return [
            Line(
                short(r),
                [row["iteration"] for row in rows],
                [row[name] for row in rows],
                shown=r["key"] in first,
                **drawn[r["key"]],
            )
            for r, rows in histories
        ]

    return [
        Lines(f"Validation loss: {where}", x, "validation loss, nats", lines("val_loss"), y_form="log"),
        Lines(f"Validation accuracy: {where}", x, "validation accuracy", lines("val_acc"), y_form="percent"),
    ] * bool(histories)


def _histories(rounds: list[Record], found: Found) -> list[tuple[Record, list[dict[str, float]]]]:
    """The rounds whose metrics.csv can be read, with its rows; the others are noted as skipped."""
    good = []
    for record in rounds:
        try:
            good.append((record, read.history(record)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            found.skip(record["folder"], f"its metrics.csv cannot be read ({error}); left out of learning curves")
    return good


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
        [str(r["round"] * r["levels"]) for r in rounds],
        [name.removesuffix(".weight") for name in names],
        [["" if v is None else f"{100 * v:.1f}" for v in row] for row in share],
        (0.0, 100.0),
    )


def _confusion(record: Record, found: Found) -> Shares | None:
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


def classes(chain: Chain, found: Found) -> tuple[list[Heat], Lines | None, str]:
    """Confusion matrices of the dense network, of the ticket, and their difference; the accuracy of each class; what is left out.

    Of many classes the CLASSES are shown whose accuracies differ most.
    """
    told = [(record, shares) for record in chain.ends if (shares := _confusion(record, found)) is not None]
    if not told:
        return [], None, ""
    told, note = _few(told)
    names, where = told[0][1][0], f", seed {chain.seed}, at the last epoch"
    heats = [_matrix(short(record) + where, names, shares) for record, (_, shares) in told]
    if len(told) == 2 and told[1][1][0] == names:
        heats.append(_change(f"{short(told[1][0])}, less {short(told[0][0])}{where}", names, told[1][1][1] - told[0][1][1]))
    lines = [
        Line(short(record), own, np.diag(shares).tolist(), dash="", marker="ox"[i], colour=COLOURS[i])
        for i, (record, (own, shares)) in enumerate(told)
    ]
    title = f"{chain.label}{where}"
    accuracies = Lines(f"Accuracy of each class: {title}", "class", "test accuracy of the class", lines, "category", "percent")
    return heats, accuracies, note


def _few(told: list[tuple[Record, Shares]]) -> tuple[list[tuple[Record, Shares]], str]:
    """The same, of CLASSES classes alone where there are more, and a sentence that says so."""
    names = told[0][1][0]
    if len(names) <= CLASSES or any(own != names for _, (own, _) in told):
        return told, ""
    first, last = (np.diag(shares) for _, (_, shares) in (told[0], told[-1]))
    some = np.sort(np.argsort(-np.abs(last - first), kind="stable")[:CLASSES])
    few = [(record, ([names[i] for i in some], shares[np.ix_(some, some)])) for record, (_, shares) in told]
    return few, f" Of {len(names)} classes the {CLASSES} whose accuracies differ most."


def _matrix(title: str, names: list[str], shares: np.ndarray) -> Heat:
    text = [[f"{100 * v:.1f}" if v else "" for v in row] for row in shares]
    return Heat(title, "given class", "true class", "% of the true class", 100 * shares, names, names, text, (0.0, 100.0))


def _change(title: str, names: list[str], change: np.ndarray) -> Heat:
    end = max(0.1, 100 * float(np.abs(change).max()))
    text = [[f"{100 * v:+.1f}" if abs(v) >= 0.0005 else "" for v in row] for row in change]
    return Heat(title, "given class", "true class", "percentage points", 100 * change, names, names, text, (-end, end), True)
