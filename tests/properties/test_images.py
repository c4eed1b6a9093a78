"""The decoded cache holds what Pillow decodes, for any images; batches hold every image once."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lth.config import Data
from lth.data import decoded
from lth.data.module import Order
from tests.properties import few

FORMATS = {"RGB": "png", "L": "png", "P": "gif", "RGBA": "png", "LA": "png", "CMYK": "jpg", "1": "png"}


def over_white(image: Image.Image) -> Image.Image:
    """Pillow's own way: paste with the alpha as the mask."""
    if "A" not in image.mode and "transparency" not in image.info:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


@few
@given(
    st.lists(st.tuples(st.sampled_from(sorted(FORMATS)), st.integers(1, 33), st.integers(1, 33)), min_size=2, max_size=4),
    st.integers(8, 24),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_cache_is_what_pillow_decodes(kinds, size, channels, stream, seed):
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "images")
        for i, (mode, width, height) in enumerate(kinds):
            (root / f"class {i % 2}").mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).convert(mode)
            image.save(root / f"class {i % 2}" / f"{i}.{FORMATS[mode]}")
        data = Data(image_size=size, channels=channels, cache=str(Path(place, "cache")), cache_limit=0.0 if stream else 1.0)
        images = decoded.load(root, data)
        for pixels, path in zip(images.take(np.arange(len(kinds))), images.paths):
            with Image.open(path) as image:
                expected = over_white(image).convert("L" if channels == 1 else "RGB")
            expected = expected.resize((size, size), Image.Resampling.BILINEAR) if expected.size != (size, size) else expected
            assert np.array_equal(pixels, np.asarray(expected).reshape(size, size, channels))


@few
@given(st.integers(1, 200), st.integers(1, 64), st.integers(0, 2**32), st.integers(0, 5), st.integers(1, 3))
def test_an_epoch_holds_every_image_and_ranks_share_them_evenly(count, batch, seed, epoch, ranks):
    batch = max(batch, ranks)
    orders = [Order(np.arange(count), batch, seed, rank, ranks) for rank in range(ranks)]
    seen, sizes = [], []
    for order in orders:
        order.set_epoch(epoch)
        parts = [indices for indices, _ in order]
        assert len(parts) == len(order) == order.per_epoch
        seen += np.concatenate(parts).tolist()
        sizes.append([len(part) for part in parts])
    assert set(seen) == set(range(count))
    assert all(s == sizes[0] for s in sizes)
    assert len(seen) - count < ranks * len(sizes[0])
