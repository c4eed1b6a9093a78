"""Keys: pinned ones, what changes them and what does not; ``tests/properties`` does the same for any recipe."""

import dataclasses

import pytest

from lth.config import Config, Data, Model, Optim, Prune, Trainer
from lth.tree.spec import chain, determining

PINNED = {  # a change here renames everybody's finished work: never change one, only add
    "default": ["c6269a546baa", "2d37db9fcfca", "8b71ed268918"],
    "other": ["a3ceac0625bb", "64fc52a3cede"],
    "one_shot": ["c6269a546baa", "fc8b83670eca"],
}


def keys(config: Config | None = None, images="images", precision="32-true") -> list[str]:
    return [spec.key for spec in chain(config or Config(), images, precision)]


def test_pinned_keys():
    assert keys(Config(prune=Prune(rounds=2))) == PINNED["default"]
    other = Config(prune=Prune(rounds=1, rate=0.5), seed=7, model=Model("lenet_300_100"))
    assert keys(other, "x", "bf16-mixed") == PINNED["other"]
    assert keys(Config(prune=Prune(schedule="one_shot", rounds=3))) == PINNED["one_shot"]


def test_more_rounds_extend_the_chain_and_prune_steps_share_the_dense_network():
    default = keys(Config(prune=Prune(rounds=5)))
    assert default[:3] == keys(Config(prune=Prune(rounds=2)))
    steps = [Prune(rate=0.5), Prune(schedule="one_shot", rounds=3), Prune(retrain="lr"), Prune(retrain="finetune")]
    others = [keys(Config(prune=prune)) for prune in [*steps, Prune(rewind="1ep"), Prune(criterion="random")]]
    assert {other[0] for other in others} == {default[0]}
    assert len({*default, *(other[1] for other in others)}) == len(default) + len(others)
    for rounds in (0, 1):
        assert keys(Config(prune=Prune(schedule="one_shot", rounds=rounds))) == default[: rounds + 1]


def test_images_and_precision_are_in_the_key():
    assert len({keys()[0], keys(images="other")[0], keys(precision="bf16-mixed")[0]}) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": "elsewhere"}, {"data": Data(name="folder", root="/x")}, {"data": Data(cache="/c", cache_limit=1, workers=9)},
        {"trainer": Trainer(accelerator="cpu", channels_last=False, compile=True)}, {"data": Data(on_error="skip")},
        {"optim": Optim(momentum=0.5)}, {"optim": Optim(gamma=0.2)}, {"optim": Optim(milestones=[0.5])},
        {"model": Model(head="mlp")}, {"model": Model(width=2.0)}, {"model": Model(frozen_bn="train")},
        {"data": Data(normalize="imagenet")}, {"prune": Prune(score_images=3)}, {"prune": Prune(scope="all")},
        {"optim": Optim(sparse=True)},
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
        ({"finetune": "layer4", "model": Model("resnet18")}, {"model": Model("resnet18", frozen_bn="train")}),
        ({"finetune": "fc1"}, {"prune": Prune(scope="all")}),
        ({"prune": Prune(criterion="snip")}, {"prune": Prune(criterion="snip", score_images=3)}),
        ({"model": Model("efficientnet_lite0")}, {"data": Data(normalize="imagenet")}),
    ],
)
def test_a_field_is_in_the_key_where_it_has_an_effect(base, change):
    assert keys(Config(**base))[-1] != keys(Config(**base | change))[-1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"finetune": "layer3+layer4", "model": Model("resnet18")}, {"finetune": "layer4+layer3+layer4"}),
        ({"prune": Prune(scope="backbone")}, {"prune": Prune(head=False)}),
        ({"model": Model("efficientnet_lite0")}, {"data": Data(normalize="half")}),
    ],
)
def test_one_choice_has_one_key_however_it_is_written(one, other):
    assert keys(Config(**one)) == keys(Config(**one | other))


def test_a_pattern_is_one_round_whose_rate_follows_and_channels_have_a_budget():
    def prune(**fields) -> Config:
        return Config(prune=Prune(**fields))

    assert keys(prune(structure="2:4", rounds=5)) == keys(prune(structure="2:4", rounds=1, rate=0.9))
    assert len(keys(prune(structure="2:4", rounds=5))) == 2
    assert len({keys(prune(structure=kind))[1] for kind in ("weights", "channels", "2:4", "1:4")}) == 4
    assert keys(prune(budget="flops")) == keys()
    assert keys(prune(structure="channels", budget="flops"))[1] != keys(prune(structure="channels"))[1]


def test_a_split_that_is_not_drawn_has_no_fraction():
    other = Config(data=Data(val_fraction=0.3, test_fraction=0.3, split_seed=5))
    one, same = ([spec.key for spec in chain(config, "images", "32-true", None, ())] for config in (Config(), other))
    assert one == same
    assert keys(other) != keys()


def test_settings_name_what_determines_a_round():
    config = Config(seed=4, epochs=3, data=Data(batch_size=8), prune=Prune(rounds=1, rate=0.5))
    dense, ticket = (spec.facts()["settings"] for spec in chain(config, "images", "bf16-mixed", "abc"))
    assert dense == {"epochs": 3, "data.batch_size": 8, "trainer.precision": "bf16-mixed", "model.weights": "abc"}
    assert ticket == dense | {"prune.rate": 0.5}


def test_a_new_option_at_its_default_renames_nothing():
    @dataclasses.dataclass
    class Newer(Data):
        brightness: float = 0.0

    assert determining(Newer(image_size=64)) == determining(Data(image_size=64)) == {"image_size": 64}
    assert determining(Newer(brightness=0.5)) == {"brightness": 0.5}
    assert determining(Optim(milestones=[0.5, 0.75])) == {}
    assert determining(Optim(milestones=[0.25, 0.5])) == {"milestones": [0.25, 0.5]}
