import dataclasses

import pytest

from lth.config import Config, Data, Model, Optim, Prune, Trainer
from lth.tree.spec import chain, determining

PINNED = {  # a change here renames everybody"s finished work: never change one, only add
    "default": ["c6269a546baa", "2d37db9fcfca", "8b71ed268918"],
    "other": ["a3ceac0625bb", "64fc52a3cede"],
    "one_shot": ["c6269a546baa", "fc8b83670eca"],
}


def keys(config: Config | None = None, fingerprint="images", precision="32-true") -> list[str]:
    return [spec.key for spec in chain(config or Config(), fingerprint, precision)]


def test_pinned_keys():
    assert keys(Config(prune=Prune(rounds=2))) == PINNED["default"]
    other = Config(prune=Prune(rounds=1, rate=0.5), seed=7, model=Model("lenet_300_100"))
    assert keys(other, "x", "bf16-mixed") == PINNED["other"]
    assert keys(Config(prune=Prune(schedule="one_shot", rounds=3))) == PINNED["one_shot"]


def test_more_rounds_extend_the_chain():
    assert keys(Config(prune=Prune(rounds=5)))[:3] == keys(Config(prune=Prune(rounds=2)))


def test_rates_share_the_dense_network():
    a, b = (keys(Config(prune=Prune(rate=rate))) for rate in (0.2, 0.5))
    assert a[0] == b[0]
    assert a[1] != b[1]


def test_one_shot_is_one_edge_and_shares_the_dense_network():
    shot = keys(Config(prune=Prune(schedule="one_shot", rounds=3)))
    assert len(shot) == 2
    assert shot[0] == keys()[0]
    assert shot[1] not in keys()
    assert keys(Config(prune=Prune(schedule="one_shot", rounds=1))) == keys(Config(prune=Prune(rounds=1)))
    assert keys(Config(prune=Prune(schedule="one_shot", rounds=0))) == keys()[:1]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1}, {"epochs": 31}, {"finetune": "head"}, {"model": Model("lenet_300_100")}, {"model": Model(dropout=0.1)},
        {"data": Data(image_size=64)}, {"data": Data(augment="flip")}, {"data": Data(batch_size=32)},
        {"data": Data(val_fraction=0.2)},
        {"data": Data(normalize="none")}, {"data": Data(split_seed=1)}, {"optim": Optim(lr=0.01)}, {"optim": Optim(name="sgd")},
        {"optim": Optim(weight_decay=0.1)}, {"optim": Optim(schedule="cosine")}, {"optim": Optim(clip=1.0)},
        {"optim": Optim(schedule="step")}, {"data": Data(channels=1)},
        {"trainer": Trainer(devices=2)},
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_every_key(change):
    assert not set(keys(Config(**change))) & set(keys())


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": "elsewhere"}, {"data": Data(name="folder", root="/x")}, {"data": Data(cache="/c", cache_limit=1, workers=9)},
        {"trainer": Trainer(accelerator="cpu", channels_last=False, compile=True)}, {"data": Data(on_error="skip")},
        {"optim": Optim(momentum=0.5)}, {"optim": Optim(gamma=0.2)}, {"optim": Optim(milestones=[0.5])},
        {"model": Model(head="mlp")}, {"model": Model(width=2.0)}, {"model": Model(frozen_bn="train")},
        {"data": Data(normalize="imagenet")}, {"prune": Prune(score_images=3)}, {"prune": Prune(scope="all")},
    ],
)  # fmt: skip
def test_what_cannot_change_the_result_changes_no_key(change):
    assert keys(Config(**change)) == keys()


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"optim": Optim("sgd")}, {"optim": Optim("sgd", momentum=0.5)}),
        ({"optim": Optim(schedule="step")}, {"optim": Optim(schedule="step", gamma=0.2)}),
        ({"optim": Optim(schedule="step")}, {"optim": Optim(schedule="step", milestones=[0.5])}),
        ({"model": Model("resnet18")}, {"model": Model("resnet18", head="mlp")}),
        ({"model": Model("resnet20")}, {"model": Model("resnet20", width=2.0)}),
        (
            {"model": Model("resnet18"), "finetune": "layer4"},
            {"model": Model("resnet18", frozen_bn="train"), "finetune": "layer4"},
        ),
        ({"finetune": "fc1"}, {"finetune": "fc1", "prune": Prune(scope="all")}),
        ({"prune": Prune(criterion="snip")}, {"prune": Prune(criterion="snip", score_images=3)}),
        ({"model": Model("efficientnet_lite0")}, {"model": Model("efficientnet_lite0"), "data": Data(normalize="imagenet")}),
    ],
)
def test_a_field_is_in_the_key_where_it_has_an_effect(base, change):
    assert keys(Config(**base))[-1] != keys(Config(**change))[-1]


def test_one_choice_has_one_key_however_it_is_written():
    one, other = (keys(Config(finetune=names, model=Model("resnet18"))) for names in ("layer3+layer4", "layer4+layer3+layer4"))
    assert one == other
    assert keys(Config(prune=Prune(scope="backbone"))) == keys(Config(prune=Prune(head=False)))
    assert keys(Config(model=Model("efficientnet_lite0"), data=Data(normalize="half"))) == keys(
        Config(model=Model("efficientnet_lite0"))
    )


def test_a_split_that_is_not_drawn_has_no_fraction():
    other = Config(data=Data(val_fraction=0.3, test_fraction=0.3, split_seed=5))
    drawn = [{spec.key for spec in chain(config, "images", "32-true", None, ())} for config in (Config(), other)]
    assert drawn[0] == drawn[1]
    assert keys(Config(data=Data(val_fraction=0.3))) != keys()


def test_settings_name_what_determines_a_round():
    config = Config(seed=4, epochs=3, data=Data(batch_size=8), prune=Prune(rounds=1, rate=0.5))
    dense, ticket = chain(config, "images", "bf16-mixed", "abc")
    assert dense.settings == {
        "epochs": 3, "data.batch_size": 8, "trainer.precision": "bf16-mixed", "model.weights": "abc"
    }  # fmt: skip
    assert ticket.settings == dense.settings | {"prune.rate": 0.5}


def test_images_and_precision_are_in_the_key():
    assert keys(fingerprint="other")[0] != keys()[0]
    assert keys(precision="bf16-mixed")[0] != keys()[0]


def test_a_new_option_at_its_default_renames_nothing():
    @dataclasses.dataclass
    class Newer(Data):
        brightness: float = 0.0

    assert determining(Newer(image_size=64)) == determining(Data(image_size=64)) == {"image_size": 64}
    assert determining(Newer(brightness=0.5)) == {"brightness": 0.5}


def test_a_list_is_hashed_as_a_plain_list_and_left_out_at_its_default():
    assert determining(Optim(milestones=[0.5, 0.75])) == {}
    assert determining(Optim(milestones=[0.25, 0.5], schedule="step")) == {"milestones": [0.25, 0.5], "schedule": "step"}
    step = [keys(Config(optim=Optim(schedule="step", milestones=[0.3, last]))) for last in (0.6, 0.7)]
    assert step[0] != step[1]


def test_every_field_says_whether_it_is_in_the_key():
    free = {f.name for node in (Data, Prune, Optim, Trainer) for f in dataclasses.fields(node) if not f.metadata.get("key", True)}
    assert {"root", "cache", "rounds", "accelerator"} <= free
    assert not free & {"rate", "lr", "augment", "image_size"}
