"""What is wrong with a command line: errors of argparse, Hydra and OmegaConf as one sentence of ours. Imports no torch."""

import argparse
import dataclasses
import difflib
import re
import shlex
import sys
from typing import Any, NoReturn

from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from lth.config import Config
from lth.errors import UsageError

GROUPS = ("data", "model", "prune", "optim", "trainer", "logger", "experiment")  # that take the name of a choice
COMMAND = "python -m lth.run"


def prepare() -> None:
    """Put overrides behind the options, where argparse wants them, and have it raise UsageError."""
    argparse.ArgumentParser.error = _refuse
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word.startswith("~") or ("=" in word and not word.startswith("-")))


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    options = "--help, --version, --cfg job, --config-dir DIR and -m"
    raise UsageError(f"the command line is not accepted: {message}; the options are {options}.")


def keys(node: Any = Config, prefix: str = "") -> list[str]:
    """Return all keys of the schema, dotted."""
    names = []
    for field in dataclasses.fields(node):
        name = prefix + field.name
        names += keys(field.type, f"{name}.") if dataclasses.is_dataclass(field.type) else [name]
    return names


def config(cfg: DictConfig) -> Config:
    """Return the composed configuration as a Config. Raises ConfigKeyError for a key that + added and the schema lacks."""
    return OmegaConf.to_object(OmegaConf.merge(Config, OmegaConf.to_container(cfg)))


def concerns(error: Exception) -> bool:
    """Return whether Hydra or OmegaConf raised an error because of the command line; of a group's bad choice, a ValueError."""
    bad_choice = isinstance(error, ValueError) and str(error).startswith("Config group override")
    return bad_choice or isinstance(error, (HydraException, OmegaConfBaseException))


def sentence(error: Exception) -> str:
    """Return what is wrong with the command: the key, the value, and what is accepted."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={name} is not accepted: it takes one of {', '.join(error.options)}."
    if isinstance(error, ConfigKeyError):
        return _unknown(error.full_key)
    if unknown := re.search(r"Could not (?:override|append to) '?([\w.@/]+)", text):
        return _unknown(unknown[1])
    if merged := re.search(r"merging override (\S+)", text):
        return f"{merged[1]} is not accepted: {_first_line(error.__cause__)}."
    if type(error).__name__ == "OverrideParseException":
        return f"the argument {getattr(error, 'override', '')!r} is no override: it takes key=value, such as prune.rate=0.2."
    if several := re.search(r"Ambiguous value for argument '(.*)'|Sweep parameters '(.*)' requires --multirun", text):
        word = several[1] or several[2]
        return f"{word} is not accepted: several values are a sweep, which takes -m: {COMMAND} -m {shlex.quote(word)}."
    if text.startswith("Config group override"):
        return f"a group takes the name of a choice, such as prune=imp; a key is written whole, such as prune.rate=0.2 ({text})."
    if key := getattr(error, "full_key", None):
        return f"{key} is not accepted: {_first_line(error)}."
    return f"{_first_line(error)}."


def _unknown(key: str) -> str:
    """Return a sentence on a key that does not exist: similar ones, and those of the same group."""
    group = key.rpartition(".")[0]
    siblings = [known.rpartition(".")[2] for known in keys() if known.rpartition(".")[0] == group]
    if group and siblings:
        accepted = f"{group} takes {', '.join(siblings)}"
    else:
        top = ", ".join(known for known in keys() if "." not in known)
        accepted = f"The top level takes {top}, and the groups {', '.join(GROUPS)}"
    similar = " or ".join(f"{known}=" for known in _similar(key))
    return f"{key} is no key{f'; did you mean {similar}?' if similar else '.'} {accepted}."


def _similar(key: str) -> list[str]:
    """Return the keys that ``key`` may stand for, by their whole name or its last word, such as ``optim.lr`` for ``lr``."""
    names = {group: [group] for group in GROUPS}
    for known in keys():
        for name in {known, known.rpartition(".")[2]}:
            names.setdefault(name, []).append(known)
    return [known for name in difflib.get_close_matches(key, names, n=1) for known in names[name]]


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
