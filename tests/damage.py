"""Functions that damage a folder of images or a file of weights."""

import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from lth.models.small import lenet_300_100

ONE = Path("train", "down", "000.png")
MESSAGE = "ran"  # the folder that code in a file makes


class Runs:
    """Its pickle makes a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, (MESSAGE,)


def truncated(root: Path) -> None:
    (root / ONE).write_bytes((root / ONE).read_bytes()[:300])


def huge(root: Path) -> None:
    """A PNG of some bytes that says it is 20,000 pixels wide and high."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0))
    (root / ONE).write_bytes(b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


def odd_images(root: Path) -> None:
    """Images of every size and mode, and folders among them; all can be read, or are no images."""
    folder = root / "train" / "down"
    Image.new("RGB", (1, 1)).save(folder / "tiny.png")
    Image.new("RGB", (2, 20000)).save(folder / "tall.png")
    Image.new("CMYK", (9, 9)).save(folder / "cmyk.jpg")
    Image.new("P", (9, 9)).save(folder / "moving.gif", save_all=True, append_images=[Image.new("P", (9, 9), 3)])
    Image.fromarray(np.arange(81, dtype=np.uint16).reshape(9, 9) * 800).save(root / ONE)
    (folder / "loop").symlink_to(folder)
    (folder / "folder.png").mkdir()


def link(root: Path) -> None:
    (root / "train" / "down" / "link.png").symlink_to("/nowhere.png")


def pipe(root: Path) -> None:
    """Reading it waits for ever."""
    os.mkfifo(root / "train" / "down" / "pipe.png")


def parts_without_classes(root: Path) -> None:
    """Train/ and Test/ with images in them, and nothing else."""
    for part in ("train", "test"):
        (root / part / "down").rename(root / part.title())
        shutil.rmtree(root / part)


def duplicates(root: Path) -> None:
    """All images of a class are one, so that a part of them validates on what another part trains on."""
    one = (root / ONE).read_bytes()
    for path in (root / "train" / "down").iterdir():
        path.write_bytes(one)


def leak(root: Path) -> None:
    for i in range(2):
        shutil.copy(root / "train" / "down" / f"00{i}.png", root / "test" / "down" / f"copy{i}.png")


def in_two_classes(root: Path) -> None:
    shutil.copy(root / "test" / "down" / "000.png", root / "test" / "plain" / "new.png")


def unreadable(root: Path) -> None:
    (root / ONE).chmod(0)


def called(name: str | bytes):
    """A class of this name."""

    def rename(root: Path) -> None:
        for part in ("train", "test"):
            os.rename(root / part / "down", os.path.join(os.fsencode(root / part), os.fsencode(name)))

    return rename


def keeping(count: int):
    """A class of ``count`` images."""

    def empty(root: Path) -> None:
        for path in sorted((root / "train" / "down").iterdir())[count:]:
            path.unlink()

    return empty


def without(*parts: str):
    return lambda root: shutil.rmtree(root.joinpath(*parts))


def weights(state):
    return lambda root: torch.save(state, root / "w.pth")


def infinite_weights(root: Path) -> None:
    state = lenet_300_100(3, 8).state_dict()
    state["fc1.1.weight"].view(-1)[3] = float("inf")
    save_file(state, root / "w.safetensors")


def half_weights(root: Path) -> None:
    infinite_weights(root)
    os.truncate(root / "w.safetensors", 5000)
