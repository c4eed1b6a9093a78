"""What readers call a record: how it was pruned, and by what its chain differs from the others."""

from collections.abc import Sequence
from dataclasses import replace

from lth.tree.record import Record
from lth.tree.settings import setting, varied

CONTROLS = {
    "reinit": "re-initialised", "shuffle": "shuffled mask", "random": "random mask", "order": "other data order",
    "sign": "signs alone",
}  # fmt: skip
NAMED_OTHERWISE = ("prune.structure", "prune.budget", "prune.ticket")
NAMED = 60  # characters of the names of classes that are listed
PLAIN = ("", "magnitude", "rewind init", "rewind")  # ways of pruning that need no name
RETRAIN = {"lr": "lr rewinding", "finetune": "fine-tune"}


def method(record: Record) -> str:
    """Return what is not at its default in how a round was pruned and retrained, or 'magnitude'; '' if dense."""
    if not record.round:
        return ""
    return _joined("gradual" * record.gradual, _how(record)) or "magnitude"


def _how(record: Record) -> str:
    criterion = record.criterion if record.allocation == "global" else f"{record.criterion}, {record.allocation}"
    criterion = f"masks of recipe {record.origin['recipe'][:6]}" if record.origin else criterion
    words = [structure(record), criterion, f"rewind {record.rewind}", RETRAIN.get(record.retrain, record.retrain)]
    return ", ".join(word for word in words if word not in PLAIN)


def structure(record: Record) -> str:
    """Return what was pruned together: 'channels', 'channels by FLOPs', '2:4'; '' for single weights."""
    kind = record.settings.get("prune.structure", "")
    return f"{kind} by FLOPs" if record.settings.get("prune.budget") == "flops" else kind


def chains(records: Sequence[Record]) -> dict[str, str]:
    """Return step -> its chain, called by how it prunes: rate, method, what a sweep varied; of pruned rounds.

    One shots that differ in depth alone are one chain; controls bear their ticket's step.
    """
    pruned = [record for record in records if record.round]
    keys = [key for key in varied(pruned) if key.startswith("prune.") and key not in NAMED_OTHERWISE]
    names = {}
    for record in pruned:
        pruned_by = _origin(record.origin) if record.origin else _rate(record.rate, record.levels, record.gradual)
        names[record.step] = _joined(pruned_by, _how(record), _settings(record, keys))
    return names


def _rate(rate: float, levels: int, gradual: bool = False) -> str:
    once = "gradual" if gradual else "one shot" if levels > 1 else ""
    return f"{once} to rounds of {100 * rate:g}%" if once else f"{100 * rate:g}% a round"


def _origin(origin: dict) -> str:
    """Return what another round's masks are called: by the classes, or the data set, that they were found on, and their rate."""
    classes = "+".join(origin["classes"] or [])
    rate = _rate(origin["rate"], origin["levels"]) if origin["rate"] else "masks from elsewhere"
    return _joined(f"tickets found on {classes if 0 < len(classes) <= NAMED else origin['data']}", rate)


def headings(records: Sequence[Record]) -> dict[tuple[str, str], str]:
    """Return (recipe, step) -> what a chain is called: ``simple_cnn all, batch_size 8, 20% a round``; 'dense' for step ''.

    A recipe is called by what a sweep varied among those of its model, finetune and data set, and by its first digits where
    that is not enough. Dense networks that trained longer add nothing to the names of tickets.
    """
    pruned = {record.recipe for record in records if record.round}
    one = {record.recipe: replace(record, round=0) for record in records}  # in round 0 settings of pruning do not count
    several = len({record.data for record in records}) > 1
    networks, names = {}, {}
    for recipe, record in one.items():
        networks[recipe] = f"{record.model} {record.finetune}" + (f" on {record.data}" if several else "")
    texts = {}  # of the rivals of a network: those of pruned recipes alone, where it is pruned, too
    for network, only_pruned in {(networks[recipe], recipe in pruned) for recipe in one}:
        rivals = [one[r] for r in one if networks[r] == network and (r in pruned or not only_pruned)]
        keys = varied(rivals)
        texts[network, only_pruned] = {rival.recipe: _settings(rival, keys) for rival in rivals}
    for recipe, network in networks.items():
        own = texts[network, recipe in pruned]
        alike = list(own.values()).count(own[recipe]) > 1
        names[recipe] = _joined(network, own[recipe], f"recipe {recipe[:6]}" if alike else "")
    chain = chains(records)
    return {(r.recipe, r.step): _joined(names[r.recipe], chain.get(r.step, "dense")) for r in records}


def _settings(record: Record, keys: Sequence[str]) -> str:
    """Return settings in words: ``batch_size 8`` of data.batch_size, ``optim adam`` of optim.name, ``head not pruned``."""
    said = {True: "pruned", False: "not pruned"}  # of prune.head, the only one of its kind
    values = {key.removesuffix(".name").rpartition(".")[2]: setting(record, key) for key in keys}
    words = {name: said[value] if isinstance(value, bool) else value for name, value in values.items() if value is not None}
    return _joined(*(f"{name} {value}" for name, value in words.items()))


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))
