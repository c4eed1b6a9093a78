"""Batches: each image once in an order of the epoch, shared by ranks, resumed anywhere; and what is done to their pixels."""

import numpy as np
import pytest
import torch

from lth.config import Data
from lth.data import features
from lth.data.augment import NORMALIZE, augment, coins, normalization, to_float
from lth.data.module import ImageData, Order
from lth.data.split import prepare


def batches(order: Order, epoch: int) -> list[list[int]]:
    order.set_epoch(epoch)
    return [indices.tolist() for indices, _ in order]


def test_an_epoch_has_an_order_of_its_own_whatever_was_before_it():
    order = Order(np.arange(10, 30), 8, seed=1)
    first, again, second = batches(order, 0), batches(order, 0), batches(order, 1)
    assert sorted(i for batch in first for i in batch) == list(range(10, 30))
    assert [len(b) for b in first] == [8, 8, 4]
    assert first == again != second
    assert batches(Order(np.arange(10, 30), 8, seed=2), 0) != first
    resumed = Order(np.arange(10, 30), 8, seed=1, begin=(1, 1))
    assert (len(resumed), batches(resumed, 1)) == (2, second[1:])
    assert len(batches(resumed, 2)) == 3
    assert batches(Order(np.array([4, 7, 9, 11]), 2, seed=None), 5) == [[4, 7], [9, 11]], "validation is in order"


def test_ranks_share_each_batch():
    together = batches(Order(np.arange(20), 8, seed=1), 3)
    parts = [batches(Order(np.arange(20), 8, seed=1, rank=r, ranks=2), 3) for r in (0, 1)]
    assert [sorted(a + b) for a, b in zip(*parts)] == [sorted(b) for b in together]
    tails = [batches(Order(np.arange(15), 4, seed=1, rank=r, ranks=2), 0)[-1] for r in (0, 1)]
    assert [len(t) for t in tails] == [4, 4], "a tail of 3 goes with the batch before, and one image is taken twice"
    scored = [batches(Order(np.arange(9), 4, seed=None, rank=r, ranks=2), 0) for r in (0, 1)]
    assert scored == [[[0, 2], [4, 6, 8]], [[1, 3], [5, 7]]], "each image is scored once, in as many batches on each rank"


@pytest.mark.parametrize(("count", "sizes"), [(129, [64, 65]), (130, [64, 64, 2]), (5, [5])])
def test_no_batch_has_a_single_image(count, sizes):
    assert [len(b) for b in batches(Order(np.arange(count), 64, seed=1), 0)] == sizes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NORMALIZE)
def test_pixels_become_normalised_floats_channels_last(name, channels):
    pixels = torch.randint(0, 256, (4, 6, 5, channels), dtype=torch.uint8)
    mean, std = normalization(name, channels)
    out = to_float(pixels, mean, std)
    expected = (pixels.double() / 255 - torch.tensor(mean)) / torch.tensor(std)
    assert (out.shape, out.dtype) == ((4, channels, 6, 5), torch.float32)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert (out - expected.permute(0, 3, 1, 2)).abs().max() < 1e-5
    own = NORMALIZE[name]
    assert [mean, std] == list(own) if len(own[0]) == channels else mean == [sum(own[0]) / len(own[0])] * channels


def test_flip_draws_one_coin_an_image():
    images = torch.randn(64, 3, 6, 6)
    out = augment(images, "flip", 0)
    flipped = [bool(torch.equal(o, i.flip(2))) for o, i in zip(out, images)]
    same = [bool(torch.equal(o, i)) for o, i in zip(out, images)]
    assert all(f != s for f, s in zip(flipped, same))
    assert 16 < sum(flipped) < 48
    assert torch.equal(out, augment(images, "flip", 0))
    assert not torch.equal(out, augment(images, "flip", 1))
    assert augment(images, "none", 0) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_standard_changes_each_image_in_its_own_way_and_keeps_the_scale(channels):
    ramp = torch.linspace(0, 1, 32).expand(16, channels, 32, 32).contiguous()
    out = augment(ramp, "standard", 0)
    assert out.shape == ramp.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert len({round(float(o.sum()), 3) for o in out}) == 16
    left_dark = (out[:, 0, :, :4].mean((1, 2)) < out[:, 0, :, -4:].mean((1, 2))).tolist()
    assert 2 < sum(left_dark) < 14, "mirrored by a coin of each image's own"
    span = (out[:, 0].mean(1).amax(1) - out[:, 0].mean(1).amin(1)).tolist()
    assert all(0.7 < s <= 1.0 for s in span), "a crop of 0.8 to 1 of the side"


def module(images, tmp_path, **options) -> ImageData:
    data = Data(name="folder", root=str(images), image_size=20, cache=str(tmp_path), **options)
    return ImageData(prepare(data), 16, seed=3, workers=2)


def test_training_begins_at_a_batch_and_with_features(images, tmp_path):
    pixels = module(images, tmp_path)
    splits = pixels.splits
    arrays = {
        part: features.load(lambda x: x.flip(1).float(), decoded, tmp_path, part, mirrored=part == "train")
        for part, decoded in (("train", splits.train_images), ("test", splits.test_images))
    }
    resumed = ImageData(splits, 16, 3, kind="flip", begin=(1, 2), features=arrays)
    straight = pixels.train_dataloader()
    straight.sampler.set_epoch(1)
    for (values, labels, seed), (x, y, drawn) in zip(resumed.train_dataloader(), list(straight)[2:], strict=True):
        mirrored = torch.where(coins(len(x), seed).view(-1, 1, 1, 1), x.flip(2), x)
        assert torch.equal(values, mirrored.flip(1).float())
        assert (labels.tolist(), seed) == (y.tolist(), drawn)
    for part in ("val", "test"):
        pairs = zip(getattr(resumed, f"{part}_dataloader")(), getattr(pixels, f"{part}_dataloader")(), strict=True)
        assert all(torch.equal(values, x.flip(1).float()) for (values, _, _), (x, _, _) in pairs)


def test_streamed_batches_equal_the_cached_ones(images, tmp_path):
    cached, streamed = module(images, tmp_path), module(images, tmp_path, cache_limit=0.0)
    for a, b in zip(cached.train_dataloader(), streamed.train_dataloader(), strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a[:2], b[:2]))
        assert a[2] == b[2]
    assert (cached.train_dataloader().num_workers, streamed.train_dataloader().num_workers) == (0, 2)
    assert not list(tmp_path.glob("stream-*/images.npy"))
