"""The command ``python -m lth.report [outputs] [model=... data=... seed=... finetune=... accuracy=...]``. Imports no torch."""

import argparse
import os
import sys
from pathlib import Path

from lth.analysis import ends
from lth.cli.command import run_command
from lth.errors import DataError, UsageError
from lth.tree.record import FILTERS

HELP = f"the folder (outputs); {', '.join(FILTERS)}; accuracy={'|'.join(ends.WORDS)}: the test accuracy that is compared"
NAMED = 10  # skipped folders that are named on stdout


def parse(argv: list[str]) -> tuple[Path, Path, dict[str, list[str]], str]:
    """Return the outputs folder, the report's folder, the filters (field -> accepted values) and the end point."""
    parser = argparse.ArgumentParser("python -m lth.report", description="One page, tables and figures of an outputs folder.")
    parser.add_argument("what", nargs="*", metavar="outputs | key=value,...", help=HELP)
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the report is written (<outputs>/report)")
    arguments = parser.parse_intermixed_args(argv)
    filters, folders, accuracy = {}, [], ends.EARLY_STOP
    for word in arguments.what:
        name, sign, values = word.partition("=")
        if not sign or Path(word).is_dir():
            folders.append(word)
        elif name == "accuracy":
            if values not in ends.WORDS:
                raise UsageError(f"{word} is not accepted: accuracy takes one of {', '.join(ends.WORDS)}.")
            accuracy = ends.WORDS[values]
        elif name not in FILTERS or not values:
            raise UsageError(f"{word} is not accepted: a filter is {'=..., '.join(FILTERS)}=..., with one value or several.")
        else:
            filters.setdefault(name, []).extend(values.split(","))
    if len(folders) > 1:
        raise UsageError(f"{' and '.join(folders)}: one outputs folder is reported at a time.")
    outputs = Path(folders[0] if folders else "outputs")
    return outputs, arguments.to or outputs / "report", filters, accuracy


def report(argv: list[str]) -> int:
    """Write a report and name what it leaves out; returns 0."""
    outputs, to, filters, accuracy = parse(argv)
    if not (outputs / "rounds").is_dir():
        raise UsageError(f"{outputs} holds no rounds: name the outputs folder of python -m lth.run.")
    from lth.report import build
    from lth.tree.record import read

    found, chosen = read(outputs, filters), " ".join(f"{name}={','.join(values)}" for name, values in filters.items())
    if not found.records:
        which = f" that passes {chosen}" * bool(chosen)
        raise UsageError(f"{outputs} holds no finished round{which} ({len(found.skipped)} unfinished or damaged).")
    try:
        (to / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the report cannot be written to {to}: {error.strerror}.") from error
    title = f"Lottery tickets in {outputs.resolve().name}" + f" ({chosen})" * bool(chosen)
    written = {to / name for name, content in build.files(title, found, accuracy) if _write(to / name, content)}
    if older := sorted(path.name for path in (to / "figures").glob("*.[ps][nv]g") if path not in written):
        print(f"older        {', '.join(older)} in {to / 'figures'}: of an earlier report, not changed")
    for folder, why in found.skipped[:NAMED]:
        print(f"left out     {folder}: {why}")
    if len(found.skipped) > NAMED:
        print(f"left out     {len(found.skipped) - NAMED} more, named in the page")
    print(f"report       {len(found.records)} rounds: {to / 'report.html'}, results.csv, results.md, figures/")
    return 0


def _write(path: Path, content: bytes) -> Path:
    """Write atomically, but without a sync to the disk, which can take seconds a file: a report can be written again."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_bytes(content)
    return draft.replace(path)


def main() -> None:
    """Run the command; an error is one sentence, exit code 2 for usage, 1 for trouble with files."""
    run_command(lambda: report(sys.argv[1:]))


if __name__ == "__main__":
    main()
