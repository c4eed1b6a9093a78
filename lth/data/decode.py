"""One image file to pixels. Needs numpy and Pillow alone."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lth.errors import DataError


def decode(path: Path, size: int, channels: int = 3) -> np.ndarray:
    """Return one image as uint8 (size, size, channels): upright by EXIF, over white where transparent, first frame, resized.

    One channel is RGB's luminance (ITU-R 601-2), which leaves grey values as they are.
    Raises DataError naming the file where it cannot be decoded.
    """
    try:
        if not path.is_file():  # a pipe or a device could be read for ever
            raise OSError("there is no such file")
        with Image.open(path) as image:
            image = _rgb(ImageOps.exif_transpose(image))
            image = image.convert("L") if channels == 1 else image
            if image.size != (size, size):
                image = image.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(image).reshape(size, size, channels)
    except Exception as error:  # whatever a damaged file makes its reader raise
        why = str(error).replace(f" {str(path)!r}", "") or type(error).__name__
        raise DataError(f"the image {path} cannot be decoded ({why}).") from error


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels (n, h, w, channels) as float32 (n, channels, h, w) in [0, 1]."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I;16", "I;16B", "I;16L", "I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
