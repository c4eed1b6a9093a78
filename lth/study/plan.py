"""What a study trains: pure functions of the configuration. Imports no torch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lth.config import OWN, Config, Study
from lth.tree.spec import depth

UNITS = {"s": 1, "min": 60, "h": 3600}
LEAST_SEEDS, LEAST_ROUNDS = 2, 2
SHORTEST = 1 / 3  # of the epochs asked for
STEP = 0.8  # epochs of a size by those of the one before


@dataclass(frozen=True)
class Size:
    """How much is trained: replicates, epochs of each round, and the fraction of remaining weights pruned in a round."""

    seeds: int
    epochs: int
    rate: float


def names(study: Study) -> list[str]:
    """Return the rows of a study, each once: ``resnet18:layer3``, ``simple_cnn`` where all of it is trained."""
    return list(dict.fromkeys(name.removesuffix(":all") for name in study.models))


def row(config: Config, name: str) -> Config:
    """Return the configuration of a row's dense network, with how its tickets are pruned. Raises UsageError.

    The new head of pretrained blocks is not pruned with them: its weights are small, so a global ranking would prune it first.
    """
    model, _, finetune = name.partition(":")
    changes = {} if model == "custom" else {"target": None, "version": ""}
    if model in (*OWN, "custom"):
        changes["weights"] = "none"
    chosen = replace(config.model, name=model, **changes)
    head = config.prune.head and (finetune == "head" or chosen.weights == "none")
    dense = replace(config.prune, rounds=0, controls="none", head=head)
    return replace(config, model=chosen, finetune=finetune or "all", prune=dense, study=Study())


def rounds(size: Size, density: float, structure: str = "weights") -> int:
    """Return how many prunings lead to ``density``; for channels half as many: a channel takes weights of two layers along."""
    count = math.ceil(math.log(density) / math.log(1 - size.rate) - 1e-9)
    return count if structure == "weights" else -(-count // 2)


def has(one: Config, structure: str) -> bool:
    """Return whether a row has tickets of a structure: a head of one layer has no channels to prune."""
    return structure == "weights" or one.finetune != "head" or one.model.head != "linear"


def searches(config: Config, rows: list[str], size: Size) -> list[tuple[str, Config]]:
    """Return (row, configuration) of each search: dense networks of all rows first, then tickets, seed by seed."""
    study, dense, tickets = config.study, [], []
    for seed in range(config.seed, config.seed + size.seeds):
        for name in rows:
            one = replace(row(config, name), seed=seed, epochs=size.epochs)
            dense.append((name, one))
            for structure in dict.fromkeys(study.structures):
                if has(one, structure):
                    count = rounds(size, study.density, structure)
                    prune = replace(one.prune, structure=structure, rounds=count, rate=size.rate, controls=study.controls)
                    controlled = "all" if study.controls == "none" else f"{depth(prune)}"
                    tickets.append((name, replace(one, prune=replace(prune, control_rounds=controlled))))
    return dense + tickets


def asked(config: Config) -> Size:
    """Return the size of a study without a budget."""
    return Size(config.study.seeds, config.epochs, config.prune.rate)


def sizes(config: Config) -> Iterator[Size]:
    """Yield sizes, the one asked for first, then fewer seeds (to 2), fewer epochs (to a third), fewer rounds (to 2)."""
    size, density = asked(config), config.study.density
    yield size
    while size.seeds > LEAST_SEEDS:
        yield (size := replace(size, seeds=size.seeds - 1))
    shortest = math.ceil(SHORTEST * size.epochs)
    while size.epochs > shortest:
        yield (size := replace(size, epochs=max(shortest, math.floor(STEP * size.epochs))))
    while (count := rounds(size, density)) > LEAST_ROUNDS:
        yield (size := replace(size, rate=math.ceil(1e4 * (1 - density ** (1 / (count - 1)))) / 1e4))


def choose(config: Config, cost: Callable[[Size], float]) -> tuple[Size, float]:
    """Return the first of ``sizes`` whose cost in seconds is within the budget, else the last one, and its cost."""
    for size in sizes(config):
        if (seconds := cost(size)) <= budget(config.study.budget):
            break
    return size, seconds


def budget(text: str) -> float:
    """Return the seconds of ``30min`` or ``2h``; infinite for none."""
    unit = next((unit for unit in ("min", "h", "s") if text.endswith(unit)), "")
    return int(text.removesuffix(unit)) * UNITS[unit] if unit else math.inf


def difference(wanted: Size, chosen: Size, density: float) -> str:
    """Return what a budget changed: ``2 seeds instead of 3, 12 epochs instead of 30``."""
    pairs = {
        "seeds": (chosen.seeds, wanted.seeds),
        "epochs": (chosen.epochs, wanted.epochs),
        "rounds": (rounds(chosen, density), rounds(wanted, density)),
    }
    return (
        ", ".join(f"{new} {what} instead of {old}" for what, (new, old) in pairs.items() if new != old) or "all that is asked for"
    )
