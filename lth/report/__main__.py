"""The command ``python -m lth.report [outputs] [model=... data=... seed=... finetune=... accuracy=...]``. Imports no torch."""

import argparse
import sys
from pathlib import Path

from lth.analysis import ends
from lth.cli.command import run_command
from lth.errors import DataError, UsageError
from lth.tree.record import FILTERS

HELP = f"the folder (outputs); {', '.join(FILTERS)}; accuracy={'|'.join(ends.WORDS)}: the test accuracy that is compared"


def parse(argv: list[str]) -> tuple[Path, Path, dict[str, list[str]], str]:
    """Return the outputs folder, the report's folder, the filters (field -> accepted values) and the end point."""
    parser = argparse.ArgumentParser("python -m lth.report", description="One page, tables and figures of an outputs folder.")
    parser.add_argument("what", nargs="*", metavar="outputs | key=value,...", help=HELP)
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the report is written (<outputs>/report)")
    arguments = parser.parse_intermixed_args(argv)
    folders: list[str] = []
    filters: dict[str, list[str]] = {}
    for word in arguments.what:
        name, _, values = word.partition("=")
        if "=" not in word or Path(word).is_dir():
            folders.append(word)
        elif values and name in (*FILTERS, "accuracy"):
            filters.setdefault(name, []).extend(values.split(","))
        else:
            raise UsageError(f"{word} is not accepted: a filter is {'=..., '.join(FILTERS)}=..., with one value or several.")
    if len(folders) > 1:
        raise UsageError(f"{' and '.join(folders)}: one outputs folder is reported at a time.")
    accuracy = ",".join(filters.pop("accuracy", ["early_stop"]))
    if accuracy not in ends.WORDS:
        raise UsageError(f"accuracy={accuracy} is not accepted: accuracy takes one of {', '.join(ends.WORDS)}.")
    outputs = Path(folders[0] if folders else "outputs")
    return outputs, arguments.to or outputs / "report", filters, ends.WORDS[accuracy]


def report(argv: list[str]) -> int:
    """Write a report and name what it leaves out; returns 0."""
    outputs, to, filters, accuracy = parse(argv)
    from lth.report import build
    from lth.tree import attempts
    from lth.tree.files import write_bytes
    from lth.tree.record import read

    found, chosen = read(outputs, filters), " ".join(f"{name}={','.join(values)}" for name, values in filters.items())
    if not found.records:
        which = f" that passes {chosen}" * bool(chosen)
        raise UsageError(f"{outputs} holds no finished round{which} ({len(found.skipped)} unfinished or damaged).")
    try:
        rows = attempts.read(outputs)
    except OSError as error:
        rows = []
        found.skip(attempts.FILE, f"it cannot be read ({error.strerror})")
    title = f"Lottery tickets in {outputs.resolve().name}" + f" ({chosen})" * bool(chosen)
    try:
        (to / "figures").mkdir(parents=True, exist_ok=True)
        for name, content in build.files(title, found, accuracy, rows):
            write_bytes(to / name, content)
    except OSError as error:
        raise DataError(f"the report cannot be written to {to}: {error.strerror}.") from error
    for folder, why in found.skipped:
        print(f"left out     {folder}: {why}")
    print(f"report       {len(found.records)} rounds: {to / 'report.html'}, results.csv, results.md, figures/")
    return 0


def main() -> None:
    """Run the command; an error is one sentence, exit code 2 for usage, 1 for trouble with files."""
    run_command(lambda: report(sys.argv[1:]))


if __name__ == "__main__":
    main()
