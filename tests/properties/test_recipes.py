"""Keys, splits and schedules, for any recipe."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lth.config import Config, Data, Features, Model, Optim, Prune, Trainer
from lth.data import split
from lth.errors import DataError, UsageError
from lth.models.classifier import lr_factor
from lth.tree import checkpoint
from lth.tree.spec import chain, determining, idle
from tests.properties import few

DETERMINING = {
    "seed": st.integers(0, 2**32 - 1), "epochs": st.integers(1, 99), "finetune": st.sampled_from(["all", "head", "fc1"]),
    "data.image_size": st.integers(8, 64), "data.channels": st.sampled_from([1, 3]), "data.val_fraction": st.floats(0.01, 0.99),
    "data.test_fraction": st.floats(0.01, 0.99), "data.split_seed": st.integers(0, 9), "data.batch_size": st.integers(2, 99),
    "data.augment": st.sampled_from(["none", "flip"]), "data.normalize": st.sampled_from(["auto", "half"]),
    "features.dtype": st.sampled_from(["float32", "float16"]),
    "model.name": st.sampled_from(["simple_cnn", "conv2"]), "model.dropout": st.floats(0, 0.9), "model.width": st.floats(0.1, 4),
    "model.head": st.sampled_from(["mlp", "linear"]), "model.frozen_bn": st.sampled_from(["eval", "train"]),
    "optim.name": st.sampled_from(["adam", "sgd"]), "optim.lr": st.floats(1e-6, 1), "optim.weight_decay": st.floats(0, 1),
    "optim.momentum": st.floats(0, 0.99), "optim.schedule": st.sampled_from(["constant", "cosine"]),
    "optim.gamma": st.floats(0.1, 0.9),
    "optim.milestones": st.lists(st.floats(0.1, 0.9), min_size=1, unique=True).map(sorted), "optim.warmup": st.integers(0, 9),
    "optim.clip": st.floats(0, 9), "trainer.devices": st.integers(1, 2), "trainer.val_check_interval": st.integers(0, 9),
}  # fmt: skip
STEP = {"prune.rate": st.floats(0.01, 0.99), "prune.head": st.booleans(), "prune.scope": st.sampled_from(["trainable", "all"]),
        "prune.criterion": st.sampled_from(["magnitude", "snip"]), "prune.allocation": st.sampled_from(["global", "erk"]),
        "prune.structure": st.just("weights"), "prune.small": st.just(False),
        "prune.budget": st.sampled_from(["channels", "flops"]),
        "prune.score_images": st.integers(1, 9), "prune.retrain": st.sampled_from(["rewind", "lr"]),
        "prune.rewind": st.sampled_from(["init", "init"]), "prune.begin": st.floats(0, 0.4), "prune.end": st.floats(0.5, 1),
        "prune.every": st.integers(1, 500)}  # fmt: skip
FREE = {
    "data.on_error": st.sampled_from(["fail", "skip"]),
    "outputs": st.text("ab/", min_size=1), "data.root": st.text("ab", min_size=1),
    "data.name": st.sampled_from(["intel", "folder"]),
    "data.cache": st.text("ab", min_size=1), "data.cache_limit": st.floats(0, 9), "data.workers": st.integers(0, 9),
    "features.cache": st.booleans(), "model.weights": st.text("ab"), "trainer.accelerator": st.sampled_from(["auto", "cpu"]),
    "trainer.channels_last": st.booleans(), "trainer.compile": st.booleans(), "trainer.deterministic": st.booleans(),
    "trainer.checkpoint_minutes": st.floats(0, 9), "optim.sparse": st.booleans(), "prune.rounds": st.just(2),
    "prune.controls": st.sampled_from(["none", "all"]),
}  # fmt: skip
KINDS = {"data": Data, "features": Features, "model": Model, "prune": Prune, "optim": Optim, "trainer": Trainer}


def config(values: dict) -> Config:
    parts = {name: {k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{name}.")} for name in KINDS}
    parts["prune"].setdefault("rounds", 2)
    top = {k: v for k, v in values.items() if "." not in k}
    return Config(**top, **{name: KINDS[name](**fields) for name, fields in parts.items()})


def keys(values: dict) -> list[str]:
    return [spec.key for spec in chain(config(values), "images", "32-true")]


def some(table: dict) -> st.SearchStrategy[dict]:
    return st.fixed_dictionaries({}, optional=table)


def default(name: str):
    node, _, field = name.rpartition(".")
    return getattr(getattr(Config(), node) if node else Config(), field)


def test_the_tables_name_every_field_that_is_in_a_key():
    kinds = {f"{part}.": kind for part, kind in KINDS.items()} | {"": Config}
    fields = [(part, f) for part, kind in kinds.items() for f in dataclasses.fields(kind) if f.metadata.get("key", True)]
    names = {part + f.name for part, f in fields if not dataclasses.is_dataclass(f.type)}
    apart = {"prune.head_rate", "model.target", "model.version", "model.library"}  # of one allocation, of networks not ours
    assert names - apart == set(DETERMINING) | set(STEP)


@few
@given(some(DETERMINING | STEP), some(FREE), st.randoms())
def test_free_fields_defaults_and_order_change_no_key(values, free, rng: random.Random):
    before = keys(values)
    assert keys(values | free) == before
    shuffled = list(values.items())
    rng.shuffle(shuffled)
    assert keys(dict(shuffled)) == before
    missing = [name for name in DETERMINING if name not in values]
    assert keys(values | {name: default(name) for name in missing}) == before


@few
@given(some(DETERMINING | STEP), st.data())
def test_every_determining_field_changes_the_keys_unless_it_is_idle(values, data):
    name = data.draw(st.sampled_from(sorted(DETERMINING | STEP)))
    other = data.draw((DETERMINING | STEP)[name])
    changed = values | {name: other}
    same = other == values.get(name, default(name)) or name in idle(config(values)) | idle(config(changed))
    a, b = keys(values), keys(changed)
    if name.startswith("prune."):
        assert a[0] == b[0], "the dense network is shared"
        a, b = a[1:], b[1:]
    assert [x == y for x, y in zip(a, b)] == [same] * len(a)


@few
@given(st.integers(1, 6), some(STEP))
def test_chains_are_prefixes_of_each_other_and_one_shot_is_as_many_rounds(rounds, step):
    long, short = keys(step | {"prune.rounds": rounds}), keys(step | {"prune.rounds": rounds - 1})
    assert len(set(long)) == rounds + 1
    assert long[:-1] == short
    shot = chain(config(step | {"prune.rounds": rounds, "prune.schedule": "one_shot"}), "images", "32-true")
    assert (len(shot), shot[1].levels, shot[0].key) == (2, rounds, long[0])


@few
@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.floats(0.001, 0.999), st.integers(0, 2**31), st.randoms())
def test_a_split_is_stratified_disjoint_and_repeatable(counts, fraction, seed, rng: random.Random):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(labels)
    labels = np.array(labels)
    rest, part = split.stratified(labels, fraction, seed, list("abcdefghij"))
    assert sorted([*rest, *part]) == list(range(len(labels)))
    wanted = [min(max(1, round(fraction * n)), n - 1) for n in counts]
    assert np.bincount(labels[part], minlength=len(counts)).tolist() == wanted
    again = split.stratified(labels, fraction, seed, list("abcdefghij"))
    assert np.array_equal(again[0], rest)
    assert np.array_equal(again[1], part)
    with pytest.raises(DataError):
        split.stratified(np.append(labels, len(counts)), fraction, seed, list("abcdefghij"))


@few
@given(st.integers(1, 400), st.integers(0, 60), st.sampled_from(["constant", "cosine", "step"]), st.floats(0.05, 0.95))
def test_the_learning_rate_rises_in_the_warmup_and_never_after(total, warmup, schedule, gamma):
    optim = Optim(schedule=schedule, warmup=warmup, gamma=gamma)
    factors = [lr_factor(optim, step, total) for step in range(total)]
    assert all(0 < f <= 1 for f in factors)
    up, down = factors[:warmup], factors[warmup:]
    assert up == sorted(up)
    assert down == sorted(down, reverse=True)
    assert len(set(up)) == len(up)
    if schedule != "step" and down:
        assert down[0] == 1


@few
@given(st.integers(1, 50), st.integers(1, 20), st.integers(1, 60), st.sampled_from(["it", "ep"]))
def test_a_rewind_checkpoint_is_where_it_says_or_refused(per_epoch, epochs, count, unit):
    step = count * (per_epoch if unit == "ep" else 1)
    if step < per_epoch * epochs:
        assert checkpoint.steps(f"{count}{unit}", per_epoch, per_epoch * epochs) == step
    else:
        with pytest.raises(UsageError):
            checkpoint.steps(f"{count}{unit}", per_epoch, per_epoch * epochs)
    assert checkpoint.steps("init", per_epoch, per_epoch * epochs) == 0


@few
@given(some(DETERMINING | STEP))
def test_what_determines_a_round_is_what_differs_from_the_defaults(values):
    found = determining(config(values))
    flat = {f"{part}.{name}" if isinstance(inner, dict) else part for part, inner in found.items()
            for name in (inner if isinstance(inner, dict) else [part])}  # fmt: skip
    assert flat == {name for name, value in values.items() if value != default(name)}
