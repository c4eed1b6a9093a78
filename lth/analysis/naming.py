"""What readers of tables and figures call a record: its control, how it was pruned, its chain, what a sweep varied."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from lth.tree.settings import setting, varied

CONTROLS = {"reinit": "re-initialised", "shuffle": "shuffled mask", "random": "random mask", "order": "other data order"}
DEFAULTS = {"criterion": "magnitude", "allocation": "global", "rewind": "init", "retrain": "rewind"}
RETRAIN = {"lr": "lr rewinding", "finetune": "fine-tune"}


def control(record: dict[str, Any]) -> str:
    """The control that a record is, as its key in CONTROLS; '' for tickets and dense networks, and for older records."""
    return record.get("control") or ""


def family(record: dict[str, Any]) -> str:
    """The recipe without its number of epochs; for older records, the recipe."""
    return record.get("family") or record["recipe"]


def method(record: dict[str, Any]) -> str:
    """How a round was pruned and retrained, in short: what is not at its default, or 'magnitude'; '' for a dense network."""
    if not record["round"]:
        return ""
    given = {name: record.get(name) or default for name, default in DEFAULTS.items()}
    differs = {name for name, value in given.items() if value != DEFAULTS[name]}
    ranked = [given["criterion"]] if not differs or differs & {"criterion", "allocation"} else []
    parts = {
        "allocation": given["allocation"],
        "rewind": f"rewind {given['rewind']}",
        "retrain": RETRAIN.get(given["retrain"], given["retrain"]),
    }
    return ", ".join(ranked + [text for name, text in parts.items() if name in differs])


def pace(record: dict[str, Any]) -> str:
    """The rate of a chain, for legends and headings, with what is not default in how it was pruned."""
    rate = f"{100 * record['rate']:.3g}%"
    text = f"one shot to rounds of {rate}" if record["levels"] > 1 else f"{rate} a round"
    return text if plain(record) else f"{text}, {method(record)}"


def plain(record: dict[str, Any]) -> bool:
    """Whether everything about a pruned round is at its default, or it is a dense network."""
    return method(record) in ("", DEFAULTS["criterion"])


def short(key: str) -> str:
    """A dotted key in a word: ``batch_size`` of data.batch_size, ``optim`` of optim.name."""
    group, _, name = key.rpartition(".")
    return group if name == "name" else name


def settings(record: dict[str, Any], keys: Sequence[str]) -> str:
    """What a record's chain has under some keys: ``batch_size 8, lr 0.01``."""
    told = [(key, value) for key in keys if (value := setting(record, key)) is not None]
    return ", ".join(f"{short(key)} {value:g}" if isinstance(value, float) else f"{short(key)} {value}" for key, value in told)


def recipes(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Recipe -> what tells it from the others of its model, finetune and data set: what a sweep varied, and the recipe's first
    digits where that is not enough; '' where it is the only one.

    Recipes of tickets are told apart from each other, so that dense networks that trained longer add nothing to their names.
    """
    groups: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
    pruned = set()
    for record in records:
        alike = groups.setdefault((record["model"], record["finetune"], record["data"]), {})
        alike.setdefault(record["recipe"], record)
        pruned |= {record["recipe"]} if record["round"] else set()
    found: dict[str, str] = {}
    for alike in groups.values():
        firsts = {recipe: replace(record, round=0) for recipe, record in alike.items()}
        tickets = varied(first for recipe, first in firsts.items() if recipe in pruned)
        every = varied(firsts.values())
        own = {recipe: settings(first, tickets if recipe in pruned else every) for recipe, first in firsts.items()}
        for recipe, text in own.items():
            twice = [other for r, other in own.items() if r in pruned or recipe not in pruned].count(text) > 1
            found[recipe] = ", ".join(filter(None, [text, f"recipe {recipe[:6]}" * twice]))
    return found


def paces(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Step -> how it prunes, in words that no other chain has: ``pace``, what a sweep varied, the step's first digits."""
    pruned = [record for record in records if record["round"]]
    keys = [key for key in varied(pruned) if key.startswith("prune.")]
    chain = chains(pruned)
    words, found = {}, {}
    for record in pruned:
        text = ", ".join(filter(None, [pace(record), settings(record, keys)]))
        first = words.setdefault(text, chain[record["step"]])
        found[record["step"]] = text if first == chain[record["step"]] else f"{text} ({record['step'][:6]})"
    return found


def headings(records: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """(Recipe, step) -> what a chain is called: ``simple_cnn all, batch_size 8, 20% a round``; 'dense' for step ''."""
    records = list(records)
    recipe, step = recipes(records), paces(records)
    several = len({record["data"] for record in records}) > 1
    found = {}
    for r in records:
        network = f"{r['model']} {r['finetune']}" + f" on {r['data']}" * several
        parts = [network, recipe[r["recipe"]], step.get(r["step"], "dense")]
        found[r["recipe"], r["step"]] = ", ".join(filter(None, parts))
    return found


def chains(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Step -> chain, for pruned rounds: a chain is one step taken again and again, or the one shots that differ in depth alone.

    Controls bear their ticket's step, so that they join its chain.
    """
    found: dict[str, str] = {}
    for record in sorted((r for r in records if r["round"]), key=lambda r: control(r) != ""):
        found.setdefault(record["step"], record["step"] if record["levels"] == 1 else _shot(record))
    return found


def _shot(record: dict[str, Any]) -> str:
    edge = (record.get("determined_by") or {}).get("prune", {})
    return json.dumps([record["rate"], method(record), {k: v for k, v in edge.items() if k != "levels"}], sort_keys=True)
