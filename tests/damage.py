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


def bytes_(content: bytes):
    return lambda root: (root / ONE).write_bytes(content)


def truncated(root: Path) -> None:
    (root / ONE).write_bytes((root / ONE).read_bytes()[:300])


def header(width: int, height: int):
    """A PNG of some bytes that says it is large."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return bytes_(b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))


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


def link(target: str):
    """A link beside the images; an empty ``target``: to itself."""
    return lambda root: (root / "train" / "down" / "link.png").symlink_to(target or "link.png")


def pipe(root: Path) -> None:
    """Reading it waits for ever."""
    os.mkfifo(root / "train" / "down" / "pipe.png")


def in_two_classes(root: Path) -> None:
    shutil.copy(root / "test" / "down" / "000.png", root / "test" / "plain" / "new.png")


def flat(*names: str):
    """Folders of these names with images in them, and nothing else."""

    def change(root: Path) -> None:
        for name in names:
            shutil.copytree(root / "train" / "down", root / "new" / name)
        for part in ("train", "test"):
            shutil.rmtree(root / part)
        for name in names:
            (root / "new" / name).rename(root / name)
        (root / "new").rmdir()

    return change


def duplicates(root: Path) -> None:
    """All images of a class are one, so that a part of them validates on what another part trains on."""
    one = (root / ONE).read_bytes()
    for path in (root / "train" / "down").iterdir():
        path.write_bytes(one)


def unreadable(root: Path) -> None:
    (root / ONE).chmod(0)


def called(name: str | bytes):
    """A class of this name."""

    def rename(root: Path) -> None:
        for part in ("train", "test"):
            os.rename(root / part / "down", os.path.join(os.fsencode(root / part), os.fsencode(name)))

    return rename


def emptied(*parts: str, keep: int = 0):
    def empty(root: Path) -> None:
        for path in sorted((root.joinpath(*parts)).iterdir())[keep:]:
            path.unlink()

    return empty


def without(*parts: str):
    return lambda root: shutil.rmtree(root.joinpath(*parts))


def leak(root: Path) -> None:
    for i in range(2):
        shutil.copy(root / "train" / "down" / f"00{i}.png", root / "test" / "down" / f"copy{i}.png")


def single(root: Path) -> None:
    for name in ("across", "down"):
        shutil.rmtree(root / "train" / name)


def weights(state, name: str = "w.pth"):
    return lambda root: torch.save(state, root / name)


def lenet(change):
    """Weights of the right network, but for a change."""

    def write(root: Path) -> None:
        save_file(change(lenet_300_100(3, 8).state_dict()), root / "w.safetensors")

    return write


def not_finite(state):
    next(iter(state.values())).view(-1)[3] = float("inf")
    return state


def half_weights(root: Path) -> None:
    lenet(dict)(root)
    path = root / "w.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
