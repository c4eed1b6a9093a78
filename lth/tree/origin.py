"""The round whose masks are trained here: ``prune.ticket``. Imports no torch."""

import glob
import os
import re
from pathlib import Path
from typing import Any

from lth.config import CONTROLS, Config, require
from lth.errors import UsageError
from lth.tree.record import Record, load, require_intact

NAME = re.compile(rf".*-({'|'.join(CONTROLS)})-[0-9a-f]{{12}}")  # of a control's folder
ACCEPTED = (
    "the folder of a finished round, or a pattern that matches one, controls apart, such as "
    "'outputs/a/rounds/*seed${seed}-round05*'"
)


def find(config: Config) -> Record | None:
    """Return the record of the round that ``prune.ticket`` names; None where it names none.

    Raises:
        UsageError: not one folder is named, or it is no finished ticket of this model.
        DataError: a file of the round is damaged.
    """
    named, model = config.prune.ticket, config.model.title
    if named is None:
        return None
    folder = _folder(os.path.expanduser(named))
    try:
        record = load(folder)
    except FileNotFoundError as error:
        raise UsageError(
            f"prune.ticket={named} is not accepted: {folder} is no round, or not finished; it takes {ACCEPTED}."
        ) from error
    is_ticket = record.round and not record.control
    require(is_ticket, "prune.ticket", named, f"a ticket; {folder.name} is {record.control or 'the dense network'}")
    require(record.model == model, "prune.ticket", named, f"a ticket of model={model}; {folder.name} is of {record.model}")
    require_intact(record)
    return record


def _folder(named: str) -> Path:
    """Return the folder that a path or a pattern stands for."""
    found = [named] if os.path.isdir(named) else sorted(filter(os.path.isdir, glob.glob(named)))
    found = [Path(path) for path in found if len(found) == 1 or not NAME.fullmatch(os.path.basename(path))]
    some = f"; it matches {len(found)} folders" + (f": {', '.join(path.name for path in found[:3])}" if found else "")
    require(len(found) == 1, "prune.ticket", named, ACCEPTED + some)
    return found[0].resolve()


def content(record: Record | None) -> dict[str, Any] | None:
    """Return what the key of a round with another ticket's masks hashes of that ticket.

    ``ticket`` is what replicates share, the other entries are of one seed: the hash of the masks, and how many weights each
    layer keeps.
    """
    if record is None:
        return None
    kept = {name: round(density * record.layer_weights[name]) for name, density in record.layers.items()}
    arm = {"recipe": record.recipe, "step": record.step, "round": record.round}
    return {"ticket": arm, "key": record.key, "masks": record.checks["ranks"]["masks"], "kept": kept}


def facts(config: Config) -> dict[str, Any]:
    """Return the field ``origin`` of a record: what people are told of the round whose masks ``prune.ticket`` names."""
    record = load(Path(config.prune.ticket))
    names = ("name", "data", "classes", "recipe", "round", "levels", "rate", "criterion", "allocation", "density")
    return {name: getattr(record, name) for name in names}
