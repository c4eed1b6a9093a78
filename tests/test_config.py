"""The configuration: files and schema agree, every key refuses what is beyond its range, every mistake is one sentence."""

from dataclasses import Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from lth import config
from lth.cli import usage
from lth.config import Config, Optim
from lth.errors import UsageError
from lth.run import CONF


def composed(*overrides: str) -> Config:
    """Return the configuration of a command; its errors are those that the command shows."""
    config.register()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return usage.config(compose("config", overrides=list(overrides)))
    except Exception as error:
        raise usage.refusal(error) from error


def schema() -> dict[str, Field]:
    """All fields of the schema by their dotted keys."""
    found = {}
    for part in fields(Config):
        found |= {f"{part.name}.{f.name}": f for f in fields(part.type)} if is_dataclass(part.type) else {part.name: part}
    return found


NEEDED = {"custom": ["model.target=my_nets:make"]}  # keys that a choice cannot do without


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_choice_composes_and_is_the_one_of_its_name(path: Path):
    group = path.parent.name
    chosen = composed(f"{group}={path.stem}", *NEEDED.get(path.stem, ()))
    if group in ("data", "model", "optim", "logger", "score") and path.stem not in ("torchvision", "timm"):
        assert getattr(chosen, group).name == path.stem


def test_defaults_of_files_and_schema_agree():
    default = composed()
    assert default.data.cache == "outputs/cache"  # an interpolation in the dataclass
    default.data.cache = config.Data().cache
    assert default == Config()
    assert type(default.optim.milestones) is list
    assert default.optim == Optim(milestones=(0.5, 0.75))
    assert set(usage.keys()) == set(schema())


BEYOND: dict[str, tuple[Any, ...]] = {  # values next to the range of a key, which it refuses
    "seed": (-1, 2**32), "epochs": (0,), "outputs": ("''",), "data.root": ("''",), "data.cache": ("''",),
    "data.image_size": (7, 4097), "data.channels": (2,), "data.val_fraction": (0.0, 1.0), "data.test_fraction": (0.0, 1.0),
    "data.classes": ("''",), "data.split_seed": (-1,), "data.batch_size": (0,), "data.cache_limit": (-1.0,),
    "data.workers": (-1,),
    "data.train_per_class": (1,), "data.test_per_class": (0,), "data.render_seed": (-1,), "model.dropout": (-0.1, 1.0),
    "model.width": (0.0, 65.0), "prune.rounds": (-1, 1001), "prune.rate": (0.0, 1.0), "prune.head_rate": (0.0, 1.1),
    "prune.score_images": (0,), "prune.begin": (-0.1, 1.0), "prune.end": (0.0, 1.1), "prune.every": (0,),
    "prune.structure": ("columns", "0:4", "'٢:4'"), "prune.ticket": ("''",),
    "prune.rewind": ("0it", "'1٣it'"), "prune.controls": ("twin", "all+reinit"),
    "prune.control_rounds": ("1+", "'٣'"), "optim.lr": (0.0, "inf"), "optim.weight_decay": (-1.0, "inf"),
    "optim.momentum": (-0.1, 1.0), "optim.gamma": (0.0, 1.0), "optim.warmup": (-1,), "optim.clip": (-1.0, "inf"),
    "study.seeds": (0, 101), "study.density": (0.0, 1.0), "study.controls": ("twin",), "study.budget": ("abc", "0min"),
    "score.within": (-0.1, 1.0), "score.at_least": (-0.1, 1.0),
    "trainer.devices": (0,), "trainer.checkpoint_minutes": (-1.0,), "trainer.val_check_interval": (-1,),
}  # fmt: skip


@pytest.mark.parametrize("key", [key for key, field in schema().items() if field.metadata.get("accepted")])
def test_a_value_out_of_range_is_named_with_what_would_be_accepted(key):
    field = schema()[key]
    accepted = field.metadata["accepted"]
    if accepted.startswith("one of") and field.type is str:
        values = ("x", "''")
    else:
        values = BEYOND[key] + (("nan",) if field.type is float else ())
    for value in values:
        with pytest.raises(UsageError) as raised:
            composed(f"{key}={value}")
        shown = "" if value == "''" else str(value).strip("'")
        assert str(raised.value) == f"{key}={shown} is not accepted: it takes {accepted}."


MISTAKES = [  # arguments; what the sentence says
    ("seed=x", "seed=x: .*could not be converted to Integer"), ("prune.rounds=2.5", "could not be converted to Integer"),
    ("seed=null", "not Optional"), ("prune.rate=[1]", "could not be converted to Float"),
    ("prune.head=maybe", "prune.head=maybe: .*not a valid bool"), ("optim.milestones=x", "optim.milestones=x: "),
    ("optim.milestones=[0.7,0.2]", "rising fractions"), ("optim.milestones=[0.5,1.0]", "rising fractions"),
    ("prune.head_rate=0.5", "1 unless prune.allocation=layerwise"), ("model.target=my_nets:make", "needs model=custom"),
    ("study.structures=[columns]", r"study.structures=columns is not accepted: it takes a list of weights and channels"),
    ("study.models=[res-net]", "study.models=res-net is not accepted: it takes names of networks such as resnet18, or"),
    ("model.version=2", "needs model=custom"), ("model=custom", "model.target=None .* such as my_nets:make"),
    ("data.channels=1 model=resnet18", "it takes 3 with model=resnet18; 1 needs one of simple_cnn"),
    ("data.channels=1 model=efficientnet_lite0", "3 with model=efficientnet_lite0"),
    ("prune.rewind=sign prune.retrain=lr", "prune.retrain=lr .* it takes rewind with the signs"),
    ("prune.rewind=sign prune.controls=reinit+sign", "it takes no sign with prune.rewind=sign"),
    ("trainer.devices=2 prune.rewind=2ep", "init or sign with several"), ("trainer.devices=2 data.batch_size=1", "at least"),
    ("prune.rat=0.2", r"^prune.rat is no key; did you mean prune\.rate=\?$"), ("epoch=3", r"did you mean epochs=\?"),
    ("+prune.rat=0.2", r"did you mean prune\.rate=\?"), ("modle=resnet18", r"did you mean model=\?"),
    ("lr=0.01", r"^lr is no key; did you mean optim\.lr=\?$"), ("dat.root=x", r"did you mean data=\?"),
    ("schedul=x", r"did you mean prune\.schedule= or optim\.schedule=\?"), ("+seed.x=1", "seed"),
    ("foo=1", "^foo is no key; there are seed, .*experiment"), ("+optim.zzz=1", "zzz is no key; there are optim.name, optim.lr"),
    ("model=resnet19", "^model=resnet19 is not accepted: it takes one of conv2, .*torchvision"),
    ("experiment=foo", "one of controls, conv2_cifar10"), ("~prune.rate", "prune.rate: .*deletion"),
    ("seed=0,1", "^seed=0,1 is not accepted: several values are a sweep, which takes -m: python -m lth.run -m seed=0,1"),
    ("seed=range(0,3)", r"-m 'seed=range\(0,3\)'"), ("prune=5", "takes the name of a choice"), ("prune.rate", "prune.rate"),
    ("data=null", "takes the name of a choice"), ("seed=!!python/object/apply:os.mkdir[ran]", "python/object"),
    ("seed=${oc.env:HOME}", "^seed: "), ("seed=${nowhere}", "^seed: .*nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES)
def test_a_mistake_is_one_sentence(arguments, sentence):
    with pytest.raises(UsageError, match=sentence) as raised:
        composed(*arguments.split())
    assert "\n" not in str(raised.value)


def test_grey_images_are_for_networks_of_ours():
    assert all(composed("data.channels=1", f"model={own}").data.channels == 1 for own in config.OWN)
