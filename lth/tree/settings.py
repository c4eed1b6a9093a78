"""What a sweep varied: the keys of the configuration in which records differ. Imports no torch."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import cache
from typing import Any

from lth.config import Config
from lth.tree.record import Record
from lth.tree.spec import FOUND, GRADUAL, flat

# Keys that a record's model, finetune, data, seed and prune step have as fields of their own.
FIELDS = {"seed", "model.name", "finetune", "data.name", "prune.schedule", "prune.rounds"} | {
    f"prune.{name}" for name in ("rate", "criterion", "allocation", "rewind", "retrain")
}


@cache
def _defaults() -> dict[str, Any]:
    """Return the value that each dotted key of the configuration has in a round whose settings do not name it."""
    return flat(asdict(Config())) | {"trainer.precision": "32-true"}  # settings hold what auto was resolved to


def setting(record: Record, key: str) -> Any:
    """Return the value of a dotted key in a record's chain; None for a key of pruning that had no part in it.

    That is any of them for a dense network, those by which masks are found for masks that were found elsewhere, and those of
    gradual pruning for other ways.
    """
    part = not key.startswith("prune.") or record.round > 0
    found = not (record.origin and key in FOUND)
    if not (part and found and (record.gradual or key not in GRADUAL)):
        return None
    return record.settings.get(key, _defaults().get(key))


def varied(records: Iterable[Record]) -> list[str]:
    """Return the dotted keys, beyond FIELDS, in which records differ; a dense network has none of pruning."""
    records = list(records)
    keys = {key for record in records for key in record.settings} - FIELDS
    return [key for key in sorted(keys) if len({repr(v) for r in records if (v := setting(r, key)) is not None}) > 1]
