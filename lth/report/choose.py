"""Which rounds a page shows in detail: one chain of each data set, and of it one seed."""

from dataclasses import dataclass, replace

from lth.analysis import naming, verdict
from lth.analysis.verdict import Verdict
from lth.report.read import Record

SERIES = 7  # chains in one figure: as many as there are colours


@dataclass(frozen=True)
class Chain:
    """The tickets of a recipe that are pruned by one step, with their dense networks, by seed, in order of rounds."""

    recipe: str
    step: str  # as naming.chains has it
    label: str
    by_seed: dict[int, list[Record]]
    winner: Verdict | None = None  # that of the sparsest ticket that is shown to win or to match

    @property
    def size(self) -> int:
        return sum(map(len, self.by_seed.values()))

    @property
    def seed(self) -> int:
        """The seed that is shown: the one with most rounds, the least of these."""
        return min(self.by_seed, key=lambda seed: (-len(self.by_seed[seed]), seed))

    @property
    def rounds(self) -> list[Record]:
        """The rounds of the seed that is shown, dense network first."""
        return self.by_seed[self.seed]

    @property
    def ticket(self) -> Record | None:
        """``winner`` of the seed that is shown, or its sparsest ticket; None if there is none."""
        last = self.rounds[-1]
        return next(filter(self.wins, self.rounds), last if last["round"] else None)

    def wins(self, record: Record) -> bool:
        """Whether a round is ``winner``, of one seed or another."""
        return self.winner is not None and (record["step"], record["round"]) == (self.winner.step, self.winner.round)

    @property
    def ends(self) -> list[Record]:
        """The first round of the seed that is shown, as a rule the dense network, and ``ticket``, if that is another."""
        first, ticket = self.rounds[0], self.ticket
        return [first] if ticket is None or ticket is first else [first, ticket]


def by_data(records: list[Record]) -> dict[str, list[Record]]:
    """Records of each data set, in order of their names."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["data"], r["model"], r["finetune"], r["recipe"], r["seed"], r["round"])):
        found.setdefault(record["data"], []).append(record)
    return found


def chains(records: list[Record]) -> list[Chain]:
    """The chains of some records, the ones with most seeds and rounds first; a dense network alone is one, too."""
    step, dense, groups = naming.chains(records), {}, {}
    for record in records:
        if record["round"] == 0 and not naming.control(record):
            dense.setdefault(record["recipe"], {})[record["seed"]] = record
    for record in records:
        if record["round"] and not naming.control(record):
            groups.setdefault((record["recipe"], step[record["step"]]), {}).setdefault(record["seed"], []).append(record)
    pruned = {recipe for recipe, _ in groups}
    groups |= {(recipe, ""): {seed: [] for seed in seeds} for recipe, seeds in dense.items() if recipe not in pruned}
    names = naming.headings(records)
    found = [_chain(recipe, name, seeds, dense.get(recipe, {}), names) for (recipe, name), seeds in groups.items()]
    return sorted(found, key=lambda chain: (-len(chain.by_seed), -chain.size, chain.label, chain.recipe, chain.step))


def _chain(
    recipe: str, step: str, tickets: dict[int, list[Record]], dense: dict[int, Record], names: dict[tuple[str, str], str]
) -> Chain:
    def rounds(seed: int) -> list[Record]:
        first = [dense[seed]] if seed in dense else []
        return first + sorted(tickets[seed], key=lambda r: -r["density"])

    by_seed = {seed: rounds(seed) for seed in sorted(tickets)}
    last = next(iter(by_seed.values()))[-1]
    return Chain(recipe, step, names[recipe, last["step"]], by_seed)


def drawn(records: list[Record], found: list[Chain]) -> list[Record]:
    """The records of the first SERIES chains, with their controls and dense networks, also those of other epochs."""
    keep, step = {(chain.recipe, chain.step) for chain in found[:SERIES]}, naming.chains(records)
    recipes = {chain.recipe for chain in found[:SERIES]}
    families = {naming.family(r) for r in records if r["recipe"] in recipes}
    pruned = {recipe for recipe, name in keep if name}
    return [
        r for r in records
        if (r["recipe"], step.get(r["step"], "")) in keep
        or (r["round"] == 0 and (r["recipe"] in recipes or (pruned and naming.family(r) in families)))
    ]  # fmt: skip


def with_winner(chain: Chain, judged: list[Verdict], records: list[Record]) -> Chain:
    """The chain with the sparsest of its tickets that is shown to win or to match, if there is one."""
    step = naming.chains(records)
    own = [v for v in judged if v.recipe == chain.recipe and step.get(v.step) == chain.step]
    return replace(chain, winner=verdict.sparsest(own))
