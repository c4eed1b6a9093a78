"""What readers of tables and figures call a record: how it was pruned, its chain, what a sweep varied."""

import json
from collections.abc import Sequence
from dataclasses import replace

from lth.tree.record import Record
from lth.tree.settings import setting, varied

CONTROLS = {"reinit": "re-initialised", "shuffle": "shuffled mask", "random": "random mask", "order": "other data order"}
DEFAULTS = {"criterion": "magnitude", "allocation": "global", "rewind": "init", "retrain": "rewind"}
RETRAIN = {"lr": "lr rewinding", "finetune": "fine-tune"}


def method(record: Record) -> str:
    """Return how a round was pruned and retrained: what is not at its default, or 'magnitude'; '' for a dense network."""
    if not record.round:
        return ""
    differs = {name for name, default in DEFAULTS.items() if getattr(record, name) != default}
    words = {
        "criterion": record.criterion,
        "allocation": record.allocation,
        "rewind": f"rewind {record.rewind}",
        "retrain": RETRAIN.get(record.retrain, record.retrain),
    }
    if not differs or "allocation" in differs:
        differs.add("criterion")
    return ", ".join(text for name, text in words.items() if name in differs)


def plain(record: Record) -> bool:
    """Return whether everything about a pruned round is at its default, or it is a dense network."""
    return method(record) in ("", DEFAULTS["criterion"])


def short(key: str) -> str:
    """Return a dotted key in a word: ``batch_size`` of data.batch_size, ``optim`` of optim.name."""
    group, _, name = key.rpartition(".")
    return group if name == "name" else name


def recipes(records: Sequence[Record]) -> dict[str, str]:
    """Return recipe -> what sets it apart from the others of its model, finetune and data set, '' where it is the only one.

    That is what a sweep varied, and the recipe's first digits where that is not enough. Recipes of tickets are set apart from
    each other, so that dense networks that trained longer add nothing to their names.
    """
    groups: dict[tuple[str, str, str], dict[str, Record]] = {}
    for record in records:  # with round 0 its settings of pruning do not count
        group = groups.setdefault((record.model, record.finetune, record.data), {})
        group.setdefault(record.recipe, replace(record, round=0))
    pruned = {record.recipe for record in records if record.round}
    names: dict[str, str] = {}
    for group in groups.values():
        of_tickets = varied(record for recipe, record in group.items() if recipe in pruned)
        of_all = varied(group.values())
        texts = {recipe: _settings(record, of_tickets if recipe in pruned else of_all) for recipe, record in group.items()}
        for recipe, text in texts.items():
            rivals = [other for r, other in texts.items() if r in pruned or recipe not in pruned]
            names[recipe] = _joined(text, f"recipe {recipe[:6]}" if rivals.count(text) > 1 else "")
    return names


def paces(records: Sequence[Record]) -> dict[str, str]:
    """Return step -> how it prunes, in words that no other chain has: rate, method, what a sweep varied, its first digits."""
    pruned = [record for record in records if record.round]
    keys = [key for key in varied(pruned) if key.startswith("prune.")]
    chain, first, names = chains(pruned), {}, {}
    for record in pruned:
        text = _joined(_rate(record), "" if plain(record) else method(record), _settings(record, keys))
        same = first.setdefault(text, chain[record.step]) == chain[record.step]
        names[record.step] = text if same else f"{text} ({record.step[:6]})"
    return names


def headings(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Return (recipe, step) -> what a chain is called: ``simple_cnn all, batch_size 8, 20% a round``; 'dense' for step ''."""
    recipe, step, several = recipes(records), paces(records), len({record.data for record in records}) > 1
    return {
        (r.recipe, r.step): _joined(
            f"{r.model} {r.finetune}" + f" on {r.data}" * several, recipe[r.recipe], step.get(r.step, "dense")
        )
        for r in records
    }


def chains(records: Sequence[Record]) -> dict[str, str]:
    """Return step -> chain, for pruned rounds: one step taken again and again, or the one shots that differ in depth alone.

    Controls bear their ticket's step, so that they join its chain.
    """
    names: dict[str, str] = {}
    for record in sorted((r for r in records if r.round), key=lambda r: r.control is not None):  # tickets first
        names.setdefault(record.step, record.step if record.levels == 1 else _shot(record))
    return names


def _shot(record: Record) -> str:
    prune = {name: value for name, value in record.determined_by.get("prune", {}).items() if name != "levels"}
    return json.dumps([record.rate, method(record), prune], sort_keys=True)


def _rate(record: Record) -> str:
    rate = f"{100 * record.rate:.3g}%"
    return f"one shot to rounds of {rate}" if record.levels > 1 else f"{rate} a round"


def _settings(record: Record, keys: Sequence[str]) -> str:
    values = [(short(key), value) for key in keys if (value := setting(record, key)) is not None]
    return _joined(*(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in values))


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))
