"""What readers of tables and figures call a record: its control, how it was pruned, which chain it belongs to."""

import json
from collections.abc import Iterable
from typing import Any

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
    text = f"one shot to rounds of {rate}" if record["at_once"] > 1 else f"{rate} a round"
    return text if plain(record) else f"{text}, {method(record)}"


def plain(record: dict[str, Any]) -> bool:
    """Whether everything about a pruned round is at its default, or it is a dense network."""
    return method(record) in ("", DEFAULTS["criterion"])


def recipes(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Recipe -> what tells it from the others of its model, finetune and data set, '' where it is the only one."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in records:
        alike = groups.setdefault((record["model"], record["finetune"], record["data"]), {})
        alike.setdefault(record["recipe"], record.get("epochs"))
    found = dict.fromkeys((recipe for alike in groups.values() for recipe in alike), "")
    for alike in (alike for alike in groups.values() if len(alike) > 1):
        for recipe, epochs in alike.items():
            told = f"{epochs} epochs " if epochs is not None and len(set(alike.values())) > 1 else ""
            found[recipe] = f"{told}(recipe {recipe[:6]})"
    return found


def chains(records: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Step -> chain, for pruned rounds: a chain is one step taken again and again, or the one shots that differ in depth alone.

    Controls bear their ticket's step, so that they join its chain.
    """
    found: dict[str, str] = {}
    for record in sorted((r for r in records if r["round"]), key=lambda r: control(r) != ""):
        found.setdefault(record["step"], record["step"] if record["at_once"] == 1 else _shot(record))
    return found


def _shot(record: dict[str, Any]) -> str:
    edge = (record.get("determined_by") or {}).get("prune", {})
    return json.dumps([record["rate"], method(record), {k: v for k, v in edge.items() if k != "at_once"}], sort_keys=True)
