"""Hydra's and OmegaConf's complaints about a command line, as one sentence of ours. Imports no torch."""

import dataclasses
import difflib
import re
import shlex
from typing import Any

from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from lth.config import Config
from lth.errors import UsageError

GROUPS = ("data", "model", "prune", "optim", "trainer", "logger", "experiment")  # that take the name of a choice


def keys(node: Any = Config, prefix: str = "") -> list[str]:
    """All keys of the schema, dotted."""
    found = []
    for field in dataclasses.fields(node):
        if dataclasses.is_dataclass(field.type):
            found += keys(field.type, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


def sentence(error: BaseException) -> str:
    """What is wrong with the command: the key, the value, and what would be accepted."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={name} is not accepted: it takes one of {', '.join(error.options)}."
    if isinstance(error, ConfigCompositionException) and (
        found := re.search(r"Could not (?:override|append to) '?([\w.@/]+)", text)
    ):
        return _unknown(found[1])
    if merged := re.search(r"merging override (\S+)", text):
        return f"{merged[1]} is not accepted: {_first_line(error.__cause__)}."
    if type(error).__name__ == "OverrideParseException":
        return f"the argument {getattr(error, 'override', '')!r} is no override: it takes key=value, such as prune.rate=0.2."
    if found := re.search(r"Ambiguous value for argument '(.*)'|Sweep parameters '(.*)' requires --multirun", text):
        given = found[1] or found[2]
        return f"{given} is not accepted: several values are a sweep, which takes -m: python -m lth.run -m {shlex.quote(given)}."
    if text.startswith("Config group override"):
        return f"a group takes the name of a choice, such as prune=imp; a key is written whole, such as prune.rate=0.2 ({text})."
    if key := getattr(error, "full_key", None):
        return f"{key} is not accepted: {_first_line(error)}."
    return f"{_first_line(error)}."


def require_known(cfg: Any) -> None:
    """Raise UsageError for a key that + brought in and that the schema does not have; it would do nothing."""
    for key in sorted(_dotted(cfg) - set(keys())):
        raise UsageError(_unknown(key))


def _dotted(node: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for name in node:
        child = None if OmegaConf.is_missing(node, name) else node._get_node(name)
        found |= _dotted(child, f"{prefix}{name}.") if isinstance(child, DictConfig) else {f"{prefix}{name}"}
    return found


def _unknown(key: str) -> str:
    """What is said of a key that is none: the likely ones, and those beside it."""
    group = key.rpartition(".")[0]
    beside = [k for k in keys() if k.rpartition(".")[0] == group]
    if group and beside:
        there = f"{group} takes {', '.join(k.rpartition('.')[2] for k in beside)}"
    else:
        top = [k for k in keys() if "." not in k]
        there = f"The top level takes {', '.join(top)}, and the groups {', '.join(GROUPS)}"
    near = _near(key)
    return f"{key} is no key{f'; did you mean {near}?' if near else '.'} {there}."


def _near(key: str) -> str:
    """The keys that ``key`` may stand for, such as ``optim.lr=`` for ``lr``; empty if there are none."""
    leaves: dict[str, list[str]] = {}
    for known in keys():
        leaves.setdefault(known.rpartition(".")[2], []).append(known)
    found = leaves.get(key) or difflib.get_close_matches(key, [*keys(), *GROUPS], n=1, cutoff=0.6)
    if not found and "." not in key:
        found = [known for leaf in difflib.get_close_matches(key, leaves, n=1, cutoff=0.75) for known in leaves[leaf]]
    return " or ".join(f"{known}=" for known in found)


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
