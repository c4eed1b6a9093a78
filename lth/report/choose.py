"""Chains of rounds: which of them figures draw, and the one that a page shows in detail."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lth.analysis import naming, pairs, verdict
from lth.analysis.pairs import Arm, first
from lth.analysis.verdict import Verdict
from lth.report.plot import pretty
from lth.tree.record import Record

SERIES = 7  # chains in one figure: as many as there are colours


@dataclass(frozen=True)
class Chain:
    """The rounds of a recipe that one prune step leads to, controls apart: an arm (seed -> record) a round, the densest first."""

    recipe: str
    step: str  # as ``naming.chains`` has it; '' for a dense network alone
    label: str
    arms: list[Arm]

    @property
    def seeds(self) -> int:
        return max(map(len, self.arms))

    @property
    def records(self) -> list[Record]:
        return [record for arm in self.arms for record in arm.values()]

    def ends(self, judged: Sequence[Verdict]) -> tuple[list[Arm], str]:
        """Return the first arm, as a rule the dense network, with the sparsest ticket that is shown to win or to match, or else
        the sparsest ticket; and what that is called."""
        arms = {record.key: arm for arm in self.arms for record in arm.values()}
        best = verdict.sparsest([v for v in judged if v.ticket.key in arms])
        ticket = arms[best.ticket.key] if best else self.arms[-1]
        name = f"sparsest {verdict.CALLED[best.verdict]}" if best else "sparsest ticket (none is shown to win)"
        return ([ticket] if ticket is self.arms[0] else [self.arms[0], ticket]), name


def short(record: Record) -> str:
    """A round in a few words, for legends and axes."""
    name = f"round {record.round}, {pretty(record.density)}" if record.round else "dense network"
    return f"{name}, {naming.CONTROLS.get(record.control, record.control)}" if record.control else name


def by_data(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each data set, in order of their names."""
    ordered = sorted(records, key=lambda r: (r.data, r.model, r.finetune, r.recipe, r.seed, r.round))
    return {name: list(group) for name, group in groupby(ordered, key=lambda r: r.data)}


def chains(records: Sequence[Record]) -> list[Chain]:
    """Return the chains of some records, those with most seeds and rounds first; a dense network alone is one, too."""
    step, names = naming.chains(records), naming.headings(records)
    arms = [arm for arm in pairs.arms(records).values() if not first(arm).control]
    dense = {first(arm).recipe: [arm] for arm in arms if not first(arm).round}
    groups: dict[tuple[str, str], list[Arm]] = {}
    for arm in sorted((arm for arm in arms if first(arm).round), key=lambda arm: -first(arm).density):
        groups.setdefault((first(arm).recipe, step[first(arm).step]), []).append(arm)
    pruned = {recipe for recipe, _ in groups}
    groups |= {(recipe, ""): [] for recipe in dense.keys() - pruned}
    every = [
        Chain(recipe, name, names[recipe, first(tickets[-1]).step if tickets else ""], dense.get(recipe, []) + tickets)
        for (recipe, name), tickets in groups.items()
    ]
    return sorted(every, key=lambda chain: (-chain.seeds, -len(chain.records), chain.label, chain.recipe, chain.step))


def drawn(records: Sequence[Record], some: Sequence[Chain]) -> list[Record]:
    """Return the records of some chains, with their controls and dense networks, also those of other numbers of epochs."""
    step, chosen = naming.chains(records), {(chain.recipe, chain.step) for chain in some}
    families = {chain.records[0].family for chain in some}
    return [r for r in records if (r.recipe, step.get(r.step, "")) in chosen or (r.round == 0 and r.family in families)]
