"""The command ``python -m lth.export ROUND --to DIR``."""

import argparse
from pathlib import Path

from lth.cli.command import run_command
from lth.errors import UsageError
from lth.export import FORMATS, RUNTIMES

FILES = {"export": "pt2", "onnxruntime": "onnx"}  # runtime -> the format that it runs


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lth.export", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("round", help="a round's folder, or best: the sparsest ticket within one point of its dense network")
    parser.add_argument("outputs", nargs="?", default="outputs", help="outputs=DIR, the folder that best is looked for in")
    parser.add_argument("--to", type=Path, required=True, help="folder to write")
    parser.add_argument("--formats", default=",".join(FORMATS), help=f"which files are written ({','.join(FORMATS)})")
    parser.add_argument("--runtime", default=",".join(RUNTIMES), help=f"what is timed ({','.join(RUNTIMES)}), or none")
    parser.add_argument("--int8", action="store_true", help="also a model in 8-bit integers; training images calibrate it")
    parser.add_argument("--images", type=Path, help="where the images are now, if they were moved")
    parser.add_argument("--force", action="store_true", help="replace the folder if it is an export")
    parser.add_argument("--multiple", type=int, default=8, help="round numbers of channels up to a multiple of it (8)")
    return parser


def _words(option: str, text: str, accepted: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split(",")))
    if odd := [word for word in words if word not in accepted]:
        raise UsageError(f"{option} {odd[0]} is not accepted: it takes {', '.join(accepted)}, joined by commas.")
    return words


def main() -> None:
    """Write a finished round as files that run without lth: ONNX, torch.export, compact weights, and a card."""
    options = _parser().parse_args()
    run_command(lambda: _export(options))


def _export(given: argparse.Namespace) -> int:
    formats = _words("--formats", given.formats, FORMATS)
    runtimes = () if given.runtime == "none" else _words("--runtime", given.runtime, RUNTIMES)
    if given.multiple < 1:
        raise UsageError(f"--multiple {given.multiple} is not accepted: it takes 1 or more channels.")
    from lth.export import build, calibration, card, source  # after the command line was read: torch takes seconds

    given.to = given.to.resolve()
    written = {*formats, *(["onnx"] if given.int8 else [])}  # int8 is made from it
    missing = [name for name in runtimes if name in FILES and FILES[name] not in written]
    if missing and runtimes != RUNTIMES:  # by default what is there is timed
        raise UsageError(f"--runtime {missing[0]} is not accepted: it times {FILES[missing[0]]}, which --formats leaves out.")
    build.require_place(given.to, force=given.force)
    folder = source.find(given.round, Path(given.outputs.removeprefix("outputs=")))
    one = source.load(folder, given.images)
    print(f"exporting {one.record.name}", flush=True)
    images = calibration.images(folder, one.root) if given.int8 else None
    options = build.Options(formats, runtimes, given.int8, given.force, given.multiple)
    facts = build.export(one, given.to, options, lambda line: print(line, flush=True), images)
    print(card.table(facts))
    hint = f"; try python -m lth.predict {given.to} IMAGE" if {"onnx", "pt2"} & set(formats) else ""
    print(f"{given.to}: {', '.join(facts['bytes'])}, card.json, README.md{hint}")
    return 0


if __name__ == "__main__":
    main()
