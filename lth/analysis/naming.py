"""What readers of tables and figures call a record: how it was pruned, and by what its chain differs from the others."""

from collections.abc import Sequence
from dataclasses import replace

from lth.tree.record import Record
from lth.tree.settings import setting, varied

CONTROLS = {"reinit": "re-initialised", "shuffle": "shuffled mask", "random": "random mask", "order": "other data order"}
PLAIN = ("magnitude", "rewind init", "rewind")  # ways of pruning that need no name
RETRAIN = {"lr": "lr rewinding", "finetune": "fine-tune"}


def method(record: Record) -> str:
    """Return how a round was pruned and retrained: what is not at its default, or 'magnitude'; '' for a dense network."""
    if not record.round:
        return ""
    criterion = record.criterion if record.allocation == "global" else f"{record.criterion}, {record.allocation}"
    words = [criterion, f"rewind {record.rewind}", RETRAIN.get(record.retrain, record.retrain)]
    return ", ".join(word for word in words if word not in PLAIN) or "magnitude"


def recipes(records: Sequence[Record]) -> dict[str, str]:
    """Return recipe -> what sets it apart from the others of its model, finetune and data set, '' where it is the only one.

    That is what a sweep varied, and the recipe's first digits where that is not enough. Dense networks that trained longer add
    nothing to the names of tickets.
    """
    pruned = {record.recipe for record in records if record.round}
    one = {record.recipe: replace(record, round=0) for record in records}  # in round 0 settings of pruning do not count
    rivals = {
        recipe: [r.recipe for r in one.values() if _kind(r) == _kind(record) and (r.recipe in pruned or recipe not in pruned)]
        for recipe, record in one.items()
    }
    names = {recipe: _settings(one[recipe], varied(one[rival] for rival in rivals[recipe])) for recipe in one}
    alike = {recipe: [names[rival] for rival in rivals[recipe]].count(name) > 1 for recipe, name in names.items()}
    return {recipe: _joined(name, f"recipe {recipe[:6]}" * alike[recipe]) for recipe, name in names.items()}


def chains(records: Sequence[Record]) -> dict[str, str]:
    """Return step -> its chain, called by how it prunes: rate, method, what a sweep varied; of pruned rounds.

    One shots that differ in depth alone are one chain; controls bear their ticket's step.
    """
    pruned = [record for record in records if record.round]
    keys = [key for key in varied(pruned) if key.startswith("prune.")]
    names = {}
    for record in pruned:
        rate = f"one shot to rounds of {100 * record.rate:g}%" if record.levels > 1 else f"{100 * record.rate:g}% a round"
        how = method(record)
        names[record.step] = _joined(rate, "" if how == "magnitude" else how, _settings(record, keys))
    return names


def headings(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Return (recipe, step) -> what a chain is called: ``simple_cnn all, batch_size 8, 20% a round``; 'dense' for step ''."""
    recipe, chain, several = recipes(records), chains(records), len({record.data for record in records}) > 1
    names = {}
    for r in records:
        network = f"{r.model} {r.finetune} on {r.data}" if several else f"{r.model} {r.finetune}"
        names[r.recipe, r.step] = _joined(network, recipe[r.recipe], chain.get(r.step, "dense"))
    return names


def _kind(record: Record) -> tuple[str, str, str]:
    return record.model, record.finetune, record.data


def _settings(record: Record, keys: Sequence[str]) -> str:
    """Return settings in words: ``batch_size 8`` of data.batch_size, ``optim adam`` of optim.name."""
    values = {key.removesuffix(".name").rpartition(".")[2]: setting(record, key) for key in keys}
    return _joined(*(f"{name} {value}" for name, value in values.items() if value is not None))


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))
