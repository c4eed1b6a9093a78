"""Transfer through the whole loop: frozen means frozen, scopes, and the cache of frozen prefixes."""

from functools import partial

import pytest
import torch

from lth import load_ticket
from lth.config import Features
from lth.errors import UsageError
from lth.invariants.verify import verify
from lth.training.search import search
from lth.tree import files
from lth.tree.record import Record
from tests.conftest import write_images
from tests.training import final, held


def run(config) -> tuple[list[Record], list[str]]:
    said: list[str] = []
    return search(config, say=said.append), said


@pytest.mark.parametrize(("finetune", "trained"), [("head", {"fc"}), ("layer4", {"layer4", "fc"})])
def test_every_frozen_tensor_and_buffer_is_the_same_bits_after_training(make_config, tmp_path, finetune, trained):
    records, _ = run(make_config(rounds=1, epochs=1, model="resnet18", finetune=finetune))
    start = load_ticket(records[0].folder).start
    after = final(records[0])
    for name, tensor in start.items():
        if name.split(".")[0] not in trained:
            assert torch.equal(after[name], tensor), name
    moved = {name.split(".")[0] for name, tensor in start.items() if not torch.equal(after[name], tensor)}
    assert moved == trained
    assert set(records[1].layers) == {n for n in start if n.split(".")[0] in trained and n in records[0].layers}
    assert records[1].density == pytest.approx(0.8, abs=1e-3)
    assert records[1].model_density > 0.8


def with_and_without(made, tmp_path) -> list[list[Record]]:
    """The records of a search through the cache of features, and of one without it."""
    both = []
    for cache in (True, False):
        config = made(tmp_path / f"cache {cache}")
        config.features = Features(cache)
        records, said = run(config)
        assert any(line.startswith("features: ") and "saves about" in line for line in said) == cache
        both.append(records)
    return both


THROUGH = [("resnet18", "layer4", 20), ("efficientnet_lite0", "head", 24), ("simple_cnn", "fc3", 20)]


@pytest.mark.parametrize("augment", ["none", "flip"])
@pytest.mark.parametrize(("model", "finetune", "size"), THROUGH)
def test_training_through_the_cache_equals_training_without_it(make_config, tmp_path, model, finetune, size, augment):
    made = partial(make_config, rounds=1, model=model, finetune=finetune, augment=augment, image_size=size)
    both = with_and_without(made, tmp_path)
    assert held(both[0] + both[1])
    assert [r.key for r in both[0]] == [r.key for r in both[1]]
    exact = model == "resnet18"  # 1x1 convolutions and linear layers take other kernels for batches of another size
    for a, b in list(zip(*both))[: 2 if exact else 1]:
        one, two = final(a), final(b)
        assert all(torch.equal(one[n], two[n]) if exact else torch.allclose(one[n], two[n], rtol=1e-4, atol=1e-5) for n in one)


def test_a_validation_folder_goes_through_the_cache_as_without_it(make_config, tmp_path):
    for part, count in (("train", 12), ("val", 4), ("test", 4)):
        write_images(tmp_path / "d" / part, count, seed=count + len(part))
    made = partial(make_config, rounds=0, model="simple_cnn", finetune="fc3", root=str(tmp_path / "d"))
    [one], [two] = with_and_without(made, tmp_path)
    assert one.images == {"train": 36, "val": 12, "test": 12}
    assert one.val_loss == pytest.approx(two.val_loss, rel=1e-4)
    assert one.val_acc == two.val_acc


def test_the_cache_is_shared_by_rounds_seeds_and_rates(make_config, tmp_path):
    arrays = set()
    pretrained = tmp_path / "w.safetensors"
    records, _ = run(make_config(rounds=0, epochs=1, model="resnet20"))
    files.write_tensors(pretrained, final(records[0]), {})
    for seed, rate in ((0, 0.2), (1, 0.2), (1, 0.5)):
        config = make_config(rounds=1, epochs=1, model="resnet20", finetune="head", seed=seed, rate=rate)
        config.model.weights = str(pretrained)
        run(config)
        arrays |= set((tmp_path / "outputs" / "cache").glob("features-*/features.npy"))
    assert len(arrays) == 2, "training and test images, once"


def test_half_precision_features_take_half_the_space_and_are_in_the_key(make_config, tmp_path):
    keys, sizes = set(), {}
    for dtype in ("float32", "float16", "bfloat16"):
        config = make_config(tmp_path / dtype, rounds=0, epochs=1, model="resnet18", finetune="layer4")
        config.features = Features(dtype=dtype)
        records, _ = run(config)
        keys.add(records[0].key)
        sizes[dtype] = sum(p.stat().st_size for p in (tmp_path / dtype / "cache").glob("features-*/features.npy"))
    assert len(keys) == 3
    assert sizes["float32"] == pytest.approx(2 * sizes["float16"], rel=0.02)
    assert sizes["float16"] == sizes["bfloat16"]


def test_features_too_large_are_not_cached_and_one_line_says_so(make_config):
    records, said = run(make_config(rounds=0, epochs=1, model="simple_cnn", finetune="head", cache_limit=1e-6))
    assert any("not cached" in line and "data.cache_limit" in line for line in said)
    assert records[0].test_acc > 0


def test_scopes(make_config, tmp_path):
    sizes = {}
    for scope in ("trainable", "all", "backbone"):
        config = make_config(tmp_path / scope, rounds=1, epochs=1, model="resnet20", finetune="layer3")
        config.prune.scope = scope
        records, _ = run(config)
        sizes[scope] = set(records[1].layers)
        assert held(records)
    assert sizes["all"] - sizes["backbone"] == {"head.weight"}
    assert {n.split(".")[0] for n in sizes["trainable"]} == {"layer3", "head"}
    assert "conv1.weight" in sizes["backbone"]
    with pytest.raises(UsageError, match=r"prune\.scope=trainable with prune\.head=false and finetune=head leaves nothing"):
        run(make_config(rounds=1, epochs=1, model="resnet20", finetune="head", head=False))


def test_the_head_is_all_its_layers(make_config, tmp_path):
    """With ``model.head=mlp`` both are spared together, and pruned together at their own rate; the files show it."""
    spared = make_config(rounds=1, epochs=1, model="resnet18", head=False)
    together = make_config(rounds=1, epochs=1, model="resnet18")
    spared.model.head = together.model.head = "mlp"
    together.prune.allocation, together.prune.head_rate = "layerwise", 0.5
    records, _ = run(spared)
    assert set(records[0].layers) - set(records[1].layers) == {"fc.0.weight", "fc.2.weight"}
    records, _ = run(together)
    rates = {name: round(1 - density, 2) for name, density in records[1].layers.items()}
    assert {name for name, rate in rates.items() if rate < 0.15} == {"fc.0.weight", "fc.2.weight"}
    assert verify(tmp_path / "outputs", say=lambda line: None) == 0


@pytest.mark.parametrize(("model", "finetune"), [("densenet121", "denseblock3"), ("mobilenet_v3_small", "features.11")])
def test_two_rounds_of_larger_networks(make_config, model, finetune):
    records, _ = run(make_config(rounds=2, epochs=1, model=model, finetune=finetune, image_size=40))
    assert held(records)
    assert records[2].speedup > records[1].speedup > records[0].speedup == 1
