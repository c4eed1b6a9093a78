"""What is exported: a finished round with its network, its dense network and its test images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from lth.data.decode import decode, to_unit
from lth.errors import DataError, UsageError
from lth.tree import predictions, record
from lth.tree.record import Record
from lth.tree.ticket import load_ticket

WITHIN = 0.01  # of the dense network's validation accuracy: what ``best`` accepts
BATCH = 64


@dataclass(frozen=True)
class Source:
    """A round to export.

    ``net``: the trained ticket, pruned weights 0; ``dense_net``: the trained dense network of its chain, as ``lth.load_model``
    returns them. ``masks``: of the ticket. ``paths``, ``labels``: of the test images. ``root``: where the folder of ``data.root``
    is now; None: where it was, as far as is known.
    """

    record: Record
    dense: Record
    net: nn.Module
    dense_net: nn.Module
    masks: dict[str, Tensor]
    paths: list[Path]
    labels: np.ndarray
    root: Path | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        return len(self.record.mean), self.record.image_size, self.record.image_size

    def images(self) -> Iterator[np.ndarray]:
        """Yield the test images in batches, float32 (n, c, h, w) in [0, 1], in the order of ``labels``."""
        for begin in range(0, len(self.paths), BATCH):
            yield read_images(self.paths[begin : begin + BATCH], self.record.image_size, len(self.record.mean))


def read_images(paths: list[Path], size: int, channels: int) -> np.ndarray:
    """Return decoded images, float32 (n, c, size, size) in [0, 1]. Raises DataError naming a file that cannot be decoded."""
    return to_unit(np.stack([decode(path, size, channels) for path in paths]))


def find(name: str, outputs: Path) -> Path:
    """Return the folder of the round that a person names: a folder, or ``best``.

    ``best`` is the round with the fewest weights remaining of those that are at most one point below the dense network of their
    seed in validation accuracy at the last epoch, whose weights are exported; no control. Of equal ones the better counts.

    Raises:
        UsageError: there is no such round.
    """
    if name != "best":
        return Path(name)
    records = [r for r in record.read(outputs).records if r.classes is not None and r.control is None]
    by_key = {r.key: r for r in records}
    close = [r for r in records if r.round and (dense := _root(r, by_key)) and r.val_acc >= dense.val_acc - WITHIN]
    if not close:
        raise UsageError(f"best is not accepted: no ticket in {outputs} is within one point of its dense network by validation.")
    return min(close, key=lambda r: (r.density, -r.val_acc, r.key)).folder


def _root(ticket: Record, by_key: dict[str, Record]) -> Record | None:
    while ticket.parent is not None:
        if (parent := by_key.get(ticket.parent)) is None:
            return None
        ticket = parent
    return ticket


def moved(root: str | None, tests: Path, now: Path) -> tuple[Path | None, Path]:
    """Return where the folder of ``data.root`` (None: that cannot be told) and that of the test images are now.

    Args:
        root: ``data.root`` of the round; None: its images were downloaded or rendered.
        tests: the folder that held the test images.
        now: the one or the other, where it is now.
    """
    before = Path(root).expanduser().absolute() if root else tests
    below = tests.relative_to(before) if tests.is_relative_to(before) else Path()
    if (now / below).is_dir():
        return (now if root else None), now / below
    depth = len(below.parts)
    return (now.parents[depth - 1] if depth and now.parts[-depth:] == below.parts else None), now


def load(folder: Path, now: Path | None = None) -> Source:
    """Return the round in a folder of ``outputs/rounds``, its files checked.

    Args:
        now: where the folder of ``data.root``, or that of the test images, is now, if it was moved.

    Raises:
        DataError: the folder is no finished round of images, a file is damaged, or the dense network or an image is missing.
    """
    from lth.training.model import load_model, read_config

    folder = folder.resolve()
    net = load_model(folder)
    facts = record.load(folder)
    records = {r.key: r for r in record.read(folder.parent.parent).records} | {facts.key: facts}
    if (dense := _root(facts, records)) is None:
        raise DataError(f"the rounds before {folder} are not beside it; an export compares a ticket with its dense network.")
    if not facts.test:
        raise DataError(f"{folder} has no list of test images, which an export is compared on.")
    test = predictions.test_images(folder, facts.test)
    root, tests = None, Path(test["root"])
    if now is not None:
        root, tests = moved(read_config(folder / "config.yaml").data.root, tests, now.expanduser().absolute())
    paths = [tests / path for path in test["paths"]]
    if missing := [path for path in paths if not path.is_file()]:
        raise DataError(f"the test image {missing[0]} is missing; --images DIR says where the test images are now.")
    dense_net = load_model(dense.folder)
    return Source(facts, dense, net, dense_net, load_ticket(folder).masks, paths, np.asarray(test["labels"]), root)
