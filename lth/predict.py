"""The command ``python -m lth.predict DIR IMAGE ...``: classes of images, by an exported network; with ONNX Runtime, no torch."""

import argparse
import csv
import importlib.util
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lth.cli.command import run_command
from lth.data.decode import decode, to_unit
from lth.errors import DataError, UsageError, notice
from lth.export import CARD
from lth.tree import files

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
BATCH = 32

Run = Callable[[np.ndarray], np.ndarray]  # images float32 (n, c, h, w) in [0, 1] -> logits (n, classes)


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of an exported network. Raises DataError where the folder has none."""
    try:
        card = json.loads((folder / "card.json").read_bytes())
        if card["format"] != CARD:
            raise ValueError(card["format"])
        return card
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no card.json of an export; name a folder that python -m lth.export wrote.") from error


def runner(folder: Path, *, int8: bool = False) -> Run:
    """Return what computes logits: ``model.onnx`` by ONNX Runtime, else ``model.pt2`` by torch; ``int8``: ``model.int8.onnx``.

    Raises:
        DataError: the folder has no such file, or the package that runs it is missing.
    """
    if (path := folder / ("model.int8.onnx" if int8 else "model.onnx")).is_file() and importlib.util.find_spec("onnxruntime"):
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda images: session.run(None, {"images": images})[0]
    if int8:
        raise DataError(
            f"{folder} has no model.int8.onnx that runs here: it needs an export with --int8, and the package onnxruntime."
        )
    if (path := folder / "model.pt2").is_file() and importlib.util.find_spec("torch"):
        import torch

        notice("model.onnx or the package onnxruntime is missing: torch loads model.pt2, which can run code of who wrote it.")
        from lth.export import csr  # noqa: F401 (its operator)

        module = torch.export.load(path).module()

        def run(images: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return module(torch.from_numpy(images)).numpy()

        return run
    raise DataError(f"{folder} has no model that runs here: model.onnx needs the package onnxruntime, model.pt2 needs torch.")


def images_of(arguments: list[str]) -> list[Path]:
    """Return the images that arguments name: files as they are, of folders all images below them, by name.

    Raises:
        UsageError: there is no such file or folder, or a folder has no images.
    """
    found: list[Path] = []
    for argument in map(Path, arguments):
        if argument.is_dir():
            inside = sorted(path for path in argument.rglob("*") if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise UsageError(f"{argument} is not accepted: it has no images.")
            found += inside
        elif argument.exists():
            found.append(argument)
        else:
            raise UsageError(f"{argument} is not accepted: there is no such image or folder.")
    return found


def predict(run: Run, card: dict[str, Any], paths: list[Path]) -> Iterator[tuple[Path, np.ndarray | str]]:
    """Yield each image with its probabilities, float (classes), or with why it cannot be decoded."""
    size, channels = card["input"]["image_size"], card["input"]["channels"]
    for begin in range(0, len(paths), BATCH):
        chunk, pixels, faults = paths[begin : begin + BATCH], {}, {}
        for path in chunk:
            try:
                pixels[path] = decode(path, size, channels)
            except DataError as error:
                faults[path] = str(error)
        probabilities = {}
        if pixels:
            probabilities = dict(zip(pixels, softmax(run(to_unit(np.stack(list(pixels.values())))))))
        for path in chunk:
            yield path, faults[path] if path in faults else probabilities[path]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities (n, classes) of logits (n, classes)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main() -> None:
    """Print the class and its probability for each image, by the network in an exported folder.

    Exit code 1 if an image cannot be decoded; the others are done.
    """
    parser = argparse.ArgumentParser(prog="python -m lth.predict", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path, help="that python -m lth.export wrote")
    parser.add_argument("images", nargs="+", help="image files, and folders of them")
    parser.add_argument("--csv", type=Path, help="write all probabilities to this file")
    parser.add_argument("--int8", action="store_true", help="by the model in 8-bit integers, which is less exact")
    options = parser.parse_args()
    run_command(lambda: _predict(options.folder, options.images, options.csv, int8=options.int8))


def _predict(folder: Path, arguments: list[str], table: Path | None, *, int8: bool) -> int:
    card, paths = read_card(folder), images_of(arguments)
    run, bad, rows = runner(folder, int8=int8), 0, []
    show = sys.stderr.isatty() and table is not None and len(paths) > BATCH
    for done, (path, result) in enumerate(predict(run, card, paths), 1):
        if show and (done % BATCH == 0 or done == len(paths)):
            print(f"\r{done:,} of {len(paths):,} images", end="\n" if done == len(paths) else "", file=sys.stderr)
        if isinstance(result, str):
            bad += 1
            print(f"lth: {result}", file=sys.stderr)
            continue
        best = int(result.argmax())
        rows.append([str(path), card["classes"][best], *(f"{p:.6f}" for p in result)])
        if table is None:
            print(f"{path}  {card['classes'][best]}  {result[best]:.3f}")
    if table is not None:
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["image", "class", *card["classes"]])
        writer.writerows(rows)
        files.write_bytes(table, text.getvalue().encode())
        print(f"{table}: {len(rows):,} images")
    return 1 if bad else 0


if __name__ == "__main__":
    main()
