from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf

from lth import config
from lth.cli import usage
from lth.config import Config
from lth.errors import UsageError
from lth.run import CONF

GROUPS = ("data", "model", "prune", "optim", "trainer", "logger", "experiment")


def composed(*overrides: str) -> Config:
    config.register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_object(compose("config", overrides=list(overrides)))


def test_the_composed_default_is_the_dataclass_default():
    default = composed()
    assert default.data.cache == "outputs/cache"  # an interpolation in the dataclass
    default.data.cache = config.Data().cache
    assert default == Config()


NEEDED = {"custom": ["model.target=my_nets:make"]}  # keys that a choice cannot do without


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda p: str(p.relative_to(CONF)))
def test_every_shipped_yaml_composes(path: Path):
    group = path.parent.name
    if group in GROUPS:
        composed(f"{group}={path.stem}", *NEEDED.get(path.stem, ()))


def test_every_choice_of_the_schema_has_its_yaml():
    assert {p.stem for p in (CONF / "data").glob("*.yaml")} == {"intel", "folder", "scenes", "mnist", "cifar10"}
    for group in ("data", "model", "optim", "logger"):
        for name in {p.stem for p in (CONF / group).glob("*.yaml")} - {"torchvision"}:
            assert getattr(composed(f"{group}={name}", *NEEDED.get(name, ())), group).name == name


def test_prune_choices():
    assert composed("prune=dense").prune.rounds == 0
    assert composed("prune=one_shot", "prune.rounds=3").prune.schedule == "one_shot"


BAD = [
    ("prune.rate=0", "a fraction above 0 and below 1"),
    ("prune.rate=1", "a fraction above 0 and below 1"),
    ("prune.rounds=-1", "0 (the dense network alone) or more rounds"),
    ("prune.schedule=often", "one of imp, one_shot"),
    ("epochs=0", "1 or more epochs"),
    ("model.target=my_nets:make", "a function needs model=custom"),
    ("model.version=2", "it needs model=custom"),
    ("seed=-1", "0 to 4294967295"),
    ("data.image_size=4", "8 to 4096 pixels"),
    ("data.val_fraction=1.5", "a fraction above 0 and below 1"),
    ("data.augment=mixup", "one of none, flip, standard"),
    ("data.batch_size=0", "1 or more images"),
    ("data.on_error=ignore", "one of fail, skip"),
    ("data.normalize=0.5", "one of auto, imagenet, half, none, mnist, cifar10"),
    ("optim.lr=0", "a number above 0"),
    ("optim.momentum=1", "a fraction from 0 to below 1"),
    ("optim.schedule=zigzag", "one of constant, cosine, step"),
    ("optim.gamma=1.0", "a fraction above 0 and below 1"),
    ("optim.milestones=[0.75, 0.5]", "a list of rising fractions above 0 and below 1"),
    ("optim.milestones=[0.5, 1.0]", "a list of rising fractions above 0 and below 1"),
    ("data.channels=2", "1 (grey) or 3 (RGB)"),
    ("model.width=0.0", "a number above 0"),
    ("trainer.precision=8", "one of auto, 32-true, 16-mixed, bf16-mixed"),
    ("trainer.devices=0", "1 or more devices"),
    ("model.dropout=1", "a fraction from 0 to below 1"),
    ("logger.name=paper", "one of tensorboard, csv, wandb, mlflow, none"),
]


@pytest.mark.parametrize(("override", "accepted"), BAD)
def test_a_value_out_of_range_is_named_with_what_would_be_accepted(override, accepted):
    with pytest.raises(UsageError) as caught:
        composed(override)
    key, _, value = override.partition("=")
    assert str(caught.value).startswith(f"{key}={value}")
    assert accepted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_networks_made_for_transfer_take_colour_alone(name):
    with pytest.raises(
        UsageError, match=rf"^data\.channels=1 is not accepted: it takes 3 with model={name}; 1 needs one of simple"
    ):
        composed("data.channels=1", f"model={name}")
    assert all(composed("data.channels=1", f"model={own}").data.channels == 1 for own in config.OWN)


def test_milestones_are_a_plain_list():
    assert composed("optim.milestones=[0.25]").optim.milestones == [0.25]
    assert type(composed().optim.milestones) is list
    assert config.Optim(milestones=(0.5, 0.75)) == config.Optim()


TYPOS = [
    ("prune.rat=0.2", "prune.rat is no key; did you mean prune.rate=?"),
    ("epoch=3", "epoch is no key; did you mean epochs=?"),
    ("prune.rate=abc", "prune.rate=abc is not accepted: Value 'abc' of type 'str' could not be converted to Float."),
    ("prune.rounds=2.5", "prune.rounds=2.5 is not accepted"),
    ("model=resnet", "model=resnet is not accepted: it takes one of conv2, conv4, conv6, custom, densenet121"),
    ("experiment=foo", "experiment=foo is not accepted: it takes one of controls, conv2_cifar10, demo"),
]


@pytest.mark.parametrize(("override", "sentence"), TYPOS)
def test_a_typo_is_one_sentence(override, sentence):
    with pytest.raises(HydraException) as caught:
        composed(override)
    line = usage.sentence(caught.value)
    assert line.startswith(sentence)
    assert "\n" not in line
