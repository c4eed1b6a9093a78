"""Write docs/reference.md from the schema, the comments behind its fields, and the choices in conf/.

``python -m tests.docs_reference`` (or ``make reference``) writes the file; tests/test_docs.py compares it with ``text()``.
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

from lth import config as schema
from lth.__main__ import COMMANDS
from lth.config import Config

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference.md"
INTRODUCTION = """\
# Reference of keys

This page is generated from [`lth/config.py`](../lth/config.py) and [`conf/`](../conf) by `make reference`.
`python -m lth.run --help` prints the same keys with the values of a command.

A key is given as `key=value`, a choice of a group as `group=choice`. A later argument wins over an earlier one. A typo or a
value out of range ends the command with one sentence and exit code 2.

The last column says whether a key is part of a round's [key](concepts.md#the-tree-of-rounds). Two commands that differ only in
keys with "no" share their rounds. A key that has no effect beside the others, such as `optim.momentum` with Adam, does not
count either.
"""
HASHED = {  # what stands in a key for the value given
    "data.name": "the images",
    "data.root": "the images",
    "data.on_error": "the images",
    "data.classes": "the images",
    "model.weights": "the file's content",
    "trainer.precision": "as resolved",
}


def text() -> str:
    """The whole page, as Markdown."""
    parts = [INTRODUCTION, "## Commands\n", _commands(), "## Groups\n", _groups(), "## Top level\n", _table(Config, "")]
    for group in dataclasses.fields(Config):
        if dataclasses.is_dataclass(group.type):
            parts += [f"## {group.name}\n", _table(group.type, f"{group.name}.")]
    return "\n".join(parts)


def _commands() -> str:
    rows = [[f"`python -m lth.{name}`", what] for name, what in COMMANDS.items()]
    return _markdown(["command", "what it does"], rows)


def _groups() -> str:
    rows = []
    for folder in sorted(path for path in (ROOT / "conf").iterdir() if path.is_dir()):
        for path in sorted(folder.glob("*.yaml")):
            lines = path.read_text().splitlines()
            about = " ".join(line[2:] for line in lines if re.match(r"# (?!@package)", line))
            sets = "; ".join(f"`{line.partition(' #')[0].strip()}`" for line in lines if re.match(r"\w+: \S", line))
            rows.append([f"`{folder.name}={path.stem}`", about or f"sets {sets}"])
    return _markdown(["choice", "what it is"], rows)


def _table(node: Any, prefix: str) -> str:
    comments = _comments()
    rows = []
    for field in dataclasses.fields(node):
        if not dataclasses.is_dataclass(field.type):
            kind = field.type.__name__ if isinstance(field.type, type) and field.type is not list else str(field.type)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            shown = "null" if default is None else str(default).lower() if isinstance(default, bool) else default
            key, free = prefix + field.name, not field.metadata.get("key", True)
            what = comments[node.__name__, field.name]
            counts = HASHED.get(key, "no" if free else "yes")
            rows.append([f"`{key}`", kind, f"`{shown}`", field.metadata.get("accepted", ""), what.replace("``", "`"), counts])
    return _markdown(["key", "type", "default", "accepted", "what it does", "in the round's key"], rows)


def _comments() -> dict[tuple[str, str], str]:
    """(class, field) -> the comment behind the field in lth/config.py, or the comment lines in front of it."""
    found: dict[tuple[str, str], str] = {}
    node, above = "", []
    for line in Path(schema.__file__).read_text().splitlines():
        if match := re.match(r"class (\w+)", line):
            node = match[1]
        if match := re.match(r"    # (.*)", line):
            above.append(match[1])
            continue
        if node and (match := re.match(r"    (\w+): [^#]*(?:# (.*))?$", line)):
            found[node, match[1]] = match[2] or " ".join(above)
        above = []
    return found


def _markdown(titles: list[str], rows: list[list[str]]) -> str:
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in [titles, ["---"] * len(titles), *rows]]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
