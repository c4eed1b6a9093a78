"""One image file to pixels. Needs numpy and Pillow alone."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lth.errors import DataError

TURNED = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # what says so in Pillow's ``info``, but in a TIFF


def read(path: Path | str) -> bytes:
    """Return what a file holds. Raises DataError naming it where that cannot be read."""
    try:
        if not os.path.isfile(path):  # a pipe or a device could be read for ever
            raise OSError("there is no such file")
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise _fault(path, error) from error


def decode(path: Path | str, size: int, channels: int = 3, content: bytes | None = None) -> np.ndarray:
    """Return one image as uint8 (size, size, channels): upright by EXIF, over white where transparent, first frame, resized.

    One channel is RGB's luminance (ITU-R 601-2), which leaves grey values as they are.
    ``content``: what the file holds, if it was read before. Raises DataError naming the file where it cannot be decoded.
    """
    content = read(path) if content is None else content
    try:
        with Image.open(BytesIO(content)) as image:
            image.load()
            if hasattr(image, "tag_v2") or not TURNED.isdisjoint(image.info):
                image = ImageOps.exif_transpose(image)
            image = _opaque(image, "L" if channels == 1 else "RGB")
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(size, size, channels)
    except Exception as error:  # whatever a damaged file makes its reader raise
        raise _fault(path, error) from error


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels (n, h, w, channels) as float32 (n, channels, h, w) in [0, 1]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def _fault(path: Path | str, error: Exception) -> DataError:
    why = str(error).replace(f" {str(path)!r}", "").partition(" <_io.BytesIO")[0] or type(error).__name__
    return DataError(f"the image {path} cannot be decoded ({why}).")


def _opaque(image: Image.Image, mode: str) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    elif image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert("RGB").convert(mode)
