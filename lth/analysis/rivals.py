"""Gradual pruning beside its rivals: other ways to the same number of weights that take as many epochs in all."""

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from lth.analysis import ends, naming, pairs, table
from lth.analysis.pairs import Arm, first
from lth.tree.record import Record

Named = list[tuple[str, Arm]]  # what an arm is called, and the arm


def parts(records: Sequence[Record], accuracy: str) -> list[str]:
    """Return Markdown: a table for each number of weights that was reached gradually, a row a rival, dense networks too.

    Rivals share data, model and recipe but the epochs of a training. ``accuracy``: one of ``ends.ENDS``.
    """
    names, equal = naming.headings(records), defaultdict(list)
    for (recipe, step, _, control), arm in pairs.arms(records).items():
        if not control:
            equal[first(arm).family, first(arm).epochs_in_all].append((names[recipe, step], arm))
    return [_part(rivals, accuracy) for arms in equal.values() for rivals in _rivals(arms)]


def _rivals(arms: Named) -> list[Named]:
    """Return, for each number of weights that was reached gradually, these arms, the plainest gradual one first."""
    by_rank = sorted(arms, key=lambda named: (not first(named[1]).gradual, len(first(named[1]).settings)))
    counts = dict.fromkeys(first(arm).kept for _, arm in by_rank if first(arm).gradual)
    return [[(name, arm) for name, arm in by_rank if first(arm).kept == count or not first(arm).round] for count in counts]


def _part(rivals: Named, accuracy: str) -> str:
    (name, gradual), *_ = rivals
    one = first(gradual)
    heading = f"**{name}** beside other ways to {one.density:.2%} of weights that take {one.epochs_in_all} epochs in all"
    rows = [_row(other, arm, gradual, accuracy) for other, arm in rivals]
    return f"{heading}; brackets hold two-sided 95% intervals:\n\n{table.markdown(pd.DataFrame(rows))}"


def _row(name: str, arm: Arm, gradual: Arm, accuracy: str) -> dict[str, str]:
    factor, unit = ends.scale(first(arm).score)
    shared = arm is not gradual and arm.keys() & gradual.keys()
    less = pairs.compare(arm, gradual, accuracy).accuracy if shared else None
    return {
        "pruned": name,
        "weights remaining": f"{first(arm).density:.2%}",
        "n": str(len(arm)),
        ends.title(accuracy, first(arm).score): table.mean([getattr(record, accuracy) for record in arm.values()]),
        f"less the first{unit.replace(' ', ', ')}": (
            table.signed(less.value, less.interval, lambda x: f"{factor * x:+z.{2 if unit else 4}f}") if less else ""
        ),
        "early stops not seen": f"{ends.censored(list(arm.values()))} of {len(arm)}",
    }
