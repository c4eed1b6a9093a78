"""What is wrong with a command line: errors of argparse, Hydra and OmegaConf as one sentence of ours. Imports no torch."""

import argparse
import dataclasses
import difflib
import re
import shlex
import sys
from typing import NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from lth.config import Config
from lth.errors import UsageError

GROUPS = ("data", "model", "prune", "optim", "trainer", "logger", "score", "experiment")  # that take the name of a choice


_dry = False


def dry() -> bool:
    """Return whether the command is only to say what it would train."""
    return _dry


def prepare() -> None:
    """Put overrides behind the options, where argparse wants them, and have it raise UsageError; take out --dry-run."""
    global _dry
    argparse.ArgumentParser.error = _refuse
    _dry = "--dry-run" in sys.argv
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--dry-run"]
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word.startswith("~") or ("=" in word and not word.startswith("-")))


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise UsageError(f"the command line is not accepted: {message}; --help shows what is.")


def refuse_sweep(why: str) -> None:
    """Raise UsageError where the command line sweeps a key."""
    words = [word for word in sys.argv[1:] if "=" in word and not word.startswith("-")]
    for word, parsed in zip(words, OverridesParser.create().parse_overrides(words)):
        if parsed.is_sweep_override():
            raise UsageError(f"{word} is not accepted: {why}.")


def config(cfg: DictConfig) -> Config:
    """Return the composed configuration as a Config. Raises UsageError, also for a key that + added and the schema lacks."""
    try:
        return OmegaConf.to_object(OmegaConf.merge(Config, OmegaConf.to_container(cfg)))
    except OmegaConfBaseException as error:
        raise refusal(error) from error


def refusal(error: Exception) -> Exception:
    """Return what Hydra or OmegaConf raised because of a command line as a UsageError, another error as it is."""
    text, origin = str(error), error.__cause__ or error
    if isinstance(origin, (ConfigAttributeError, ConfigKeyError)):
        return UsageError(_unknown(origin.full_key))
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = (error.missing_cfg_file or "").rpartition("/")
        return UsageError(f"{group}={name} is not accepted: it takes one of {', '.join(error.options)}.")
    if several := re.match("(?:Ambiguous value for argument|Sweep parameters) '(.*)'", text):
        command = f"python -m lth.run -m {shlex.quote(several[1])}"
        return UsageError(f"{several[1]} is not accepted: several values are a sweep, which takes -m: {command}.")
    if text.startswith("Config group override"):  # a ValueError
        return UsageError(
            f"{text}: a group takes the name of a choice, such as prune=imp; a key is written whole: prune.rate=0.2."
        )
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        lines = [str(e).partition("\n")[0] for e in (error, error.__cause__) if e]
        return UsageError(": ".join(filter(None, [getattr(error, "full_key", None), *lines])) + ".")
    return error


def _unknown(key: str) -> str:
    """Return a sentence on a key that does not exist: what its whole name or its last word may stand for, or all of its group."""
    last = {known: known.rpartition(".")[2] for known in (*keys(), *GROUPS)}
    if closest := difflib.get_close_matches(key, [*last, *last.values()], n=1, cutoff=0.75):
        similar = [f"{known}=" for known in last if closest[0] in (known, last[known])]
        return f"{key} is no key; did you mean {' or '.join(similar)}?"
    siblings = [known for known in last if known.rpartition(".")[0] == key.rpartition(".")[0]]
    return f"{key} is no key{'; there are ' * bool(siblings)}{', '.join(siblings)}."


def keys() -> list[str]:
    """Return all keys of the schema, dotted."""
    names = []
    for part in dataclasses.fields(Config):
        if dataclasses.is_dataclass(part.type):
            names += [f"{part.name}.{field.name}" for field in dataclasses.fields(part.type)]
        else:
            names.append(part.name)
    return names
