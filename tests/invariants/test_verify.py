"""Verify names whatever is changed in a finished round, and nothing in one that is as it was written."""

import copy
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lth.errors import UsageError
from lth.invariants.verify import verify
from lth.tree.record import load
from lth.tree.ticket import Ticket
from lth.verify import main
from tests.conftest import decay
from tests.invariants.subject import Subject, lines


def test_a_healthy_tree_is_valid(healthy):
    *rounds, summary = lines(healthy)
    assert [line for line in rounds if not line.startswith("ok ")] == []
    assert summary == f"{len(rounds)} rounds: {len(rounds)} ok, 0 broken"
    assert len(rounds) == len(list(healthy.glob("rounds/*/round.json")))


def test_any_flipped_byte_of_any_file_and_any_missing_file_is_named(subject):
    for name in subject.record.files:
        path = subject.folder / name
        content = path.read_bytes()
        for place in {*range(min(len(content), 80)), *random.Random(0).choices(range(len(content)), k=60), len(content) - 1}:
            path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 8)]) + content[place + 1 :])
            assert f"{name} is missing, or does not match its hash" in subject.check(), place
        for damaged in (content[:-1], content + b"\0", b""):
            path.write_bytes(damaged)
            assert f"{name} is missing, or does not match its hash" in subject.check()
        path.unlink()
        assert f"{name} is missing, or does not match its hash" in subject.check()
        path.write_bytes(content)
    for text in ("", "{", "[]", "null", "{}", '{"hash": 1}', "\xff"):
        (subject.folder / "round.json").write_bytes(text.encode("latin-1"))
        assert "round.json is damaged" in subject.check()


def leaves(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the paths to all numbers, texts, booleans and nulls, and to all that is empty."""
    inside = list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    return [leaf for name, below in inside for leaf in leaves(below, (*path, name))] or [path]


def edited(facts: dict[str, Any], path: tuple) -> dict[str, Any]:
    """Return a copy with another value of the same type at a path."""
    new = place = copy.deepcopy(facts)
    for name in path[:-1]:
        place = place[name]
    value = place[path[-1]]
    other = value + 1 if isinstance(value, (int, float)) else f"{value}0" if isinstance(value, str) else 0
    place[path[-1]] = not value if isinstance(value, bool) else other
    return new


# What no other file of the round shows; the hash of round.json alone protects it.
ALONE = {
    "data", "accelerator", "versions", "command", "finished", "seconds", "images_per_second", "best_test_acc", "score",
    "early_stop_test_acc", "test", "checks/start", "checks/zeros", "checks/untouched", "checks/ranks",
}  # fmt: skip


def test_an_edited_entry_of_round_json_contradicts_its_hash_and_another_entry_or_file(subject):
    paths = leaves({name: value for name, value in subject.facts.items() if name != "hash"})
    assert len(paths) > 150
    for path in paths:
        new = edited(subject.facts, path)
        assert "does not match its hash" in subject.write(new, hashed=False), path
        sentence = subject.write(new)
        assert sentence or path[0] in ALONE or "/".join(path[:2]) in ALONE, path
        assert "\n" not in sentence
    for name in ("key", "checks", "files", "start", "determined_by", "layers", "classes"):
        assert subject.write({k: v for k, v in subject.facts.items() if k != name}), name


def exchanged(subject: Subject, *changes: tuple[bool, bool, int]) -> Ticket:
    """Return the ticket with entries of its masks exchanged.

    Args:
        changes: (kept by the ticket, kept by the parent, step): the first such entry is changed in the first layer that has
            one, or with ``step=-1`` in the last.
    """
    masks = {name: mask.clone() for name, mask in subject.ticket.masks.items()}
    for kept, inside, step in changes:
        entries = {n: ((m == kept) & (subject.parent.masks[n] == inside)).flatten().nonzero() for n, m in masks.items()}
        name = [n for n, places in entries.items() if len(places)][::step][0]
        masks[name].view(-1)[entries[name][0]] ^= True
    return Ticket(masks, subject.ticket.rewind)


def moved(subject: Subject) -> Ticket:
    return Ticket(subject.ticket.masks, {name: t + 1 for name, t in subject.ticket.rewind.items()})


def weights(subject: Subject, change: Any) -> dict[str, torch.Tensor]:
    """Return final weights of which one pruned layer's are changed; None: left out."""
    name, mask = next((n, m) for n, m in subject.ticket.masks.items() if not m.all())
    new = change(subject.final[name], mask)
    return {n: t for n, t in (subject.final | {name: new}).items() if t is not None}


def density(subject: Subject) -> str:
    """Forge the density of the first validation; return what verify says."""
    path = subject.folder / "metrics.csv"
    header, row, rest = path.read_text().split("\n", 2)
    path.write_text(f"{header}\n{row.rpartition(',')[0]},1.0\n{rest}")
    return subject.forge()


MORE, FEWER, REGROWN, LAST = (False, True, 1), (True, True, 1), (False, False, 1), (True, True, -1)
DENSE = dict.fromkeys(("control", "allocation", "retrain", "rewind", "rate")) | {"round": 0, "epochs": 2}
FORGERIES = {  # fields of the round, what is forged (None: what the same forger does to a valid round), what verify says
    "nothing": ({}, lambda s: s.forge(), ""),
    "regrown": ({}, lambda s: s.forge(exchanged(s, REGROWN)), "'nested' does not hold: regrown=1."),
    "one more": ({}, lambda s: s.forge(exchanged(s, MORE)), "'exact_count' does not hold: kept="),
    "one fewer": ({}, lambda s: s.forge(exchanged(s, FEWER)), "'exact_count' does not hold: kept="),
    "others": ({}, lambda s: s.forge(exchanged(s, MORE, LAST)), "not those of its parent's largest final weights"),
    "layers": ({"allocation": "layerwise"}, lambda s: s.forge(exchanged(s, MORE, LAST)), "'exact_count' does not hold: kept="),
    "start": ({}, lambda s: s.forge(moved(s)), "'start' does not hold: differing="),
    "start of lr": ({"retrain": "lr"}, lambda s: s.forge(moved(s)), "'start' does not hold: differing="),
    "start of 9it": ({"rewind": "9it"}, lambda s: s.forge(moved(s)), "'start' does not hold: differing="),
    "start of sign": ({"rewind": "sign", "round": 1}, lambda s: s.forge(moved(s)), "'start' does not hold: differing="),
    "sign": ({"control": "sign"}, lambda s: s.forge(Ticket(s.ticket.masks, s.parent.rewind)), "'control' does not hold"),
    "reinit": ({"control": "reinit"}, lambda s: s.forge(Ticket(s.ticket.masks, s.parent.rewind)), "'control' does not hold"),
    "shuffle": ({"control": "shuffle"}, lambda s: s.forge(Ticket(s.parent.masks, s.ticket.rewind)), "'control' does not hold"),
    "random": ({"control": "random"}, lambda s: s.forge(Ticket(s.parent.masks, s.ticket.rewind)), "'control' does not hold"),
    "order": ({"control": "order"}, lambda s: s.forge(moved(s)), "'control' does not hold"),
    "revived": ({}, lambda s: s.forge(weights=weights(s, lambda t, m: t + ~m)), "'zeros' does not hold"),
    "nan": (
        {},
        lambda s: s.forge(weights=weights(s, lambda t, m: torch.where(m, torch.nan, 0.0))),
        "that are not finite",
    ),
    "tensor": ({}, lambda s: s.forge(weights=weights(s, lambda t, m: None)), "'untouched' does not hold: changed="),
    "type": ({}, lambda s: s.forge(weights=weights(s, lambda t, m: t.double())), "'untouched' does not hold: changed="),
    "gradual": ({"round": 1, "rate": 0.3}, lambda s: s.forge(), ""),
    "gradual start": ({"round": 1, "rate": 0.3}, lambda s: s.forge(moved(s)), "'start' does not hold: differing="),
    "gradual count": ({"round": 1, "rate": 0.3}, lambda s: s.forge(exchanged(s, FEWER)), "'exact_count' does not hold: kept="),
    "gradual schedule": ({"round": 1, "rate": 0.3}, density, "'gradual' does not hold: off_schedule=[7], prunings=10"),
    "gradual end": ({"round": 1, "rate": 0.3}, lambda s: s.forge(early_stop_epoch=1), "early_stop_epoch=1, and it should be "),
    "dense": (DENSE, lambda s: s.forge(exchanged(s, FEWER)), "'exact_count' does not hold"),
    "test": ({}, lambda s: s.forge(test_acc=0.5), "do not follow from its confusion matrix"),
    "hashes": ({}, lambda s: s.write(s.facts | {"files": {}}), "round.json holds no hash of config.yaml, final.safetensors"),
    "format": ({}, lambda s: s.write(s.facts | {"round_format": 1}), "its round format is not 2"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forger_who_computes_every_hash_again_is_named(tree, valid, name):
    fields, forge, sentence = FORGERIES[name]
    said = forge(Subject(tree, valid, **fields))
    assert sentence in said
    assert bool(sentence) == bool(said)


def test_predictions_and_the_list_of_test_images_are_compared_with_the_confusion_matrix(tree, subject):
    np.save(subject.folder / "predictions.npy", 1 - np.load(subject.folder / "predictions.npy").clip(0, 1))
    assert "predictions.npy gives another confusion matrix" in subject.forge()
    [path] = tree.glob("tests/*.json")
    for content in (path.read_text().replace("across", "acrost", 1), "", "[]"):
        path.write_text(content)
        assert f"list of test images {path} is" in subject.check()


def test_a_damaged_rewind_checkpoint_is_named_and_a_missing_one_is_not_needed(tree, valid):
    subject = Subject(tree, valid, rewind="9it")
    path = subject.store.checkpoint(subject.record.determined_by["parent"], 9)
    [path] = path.parent.glob("*-9.safetensors")
    decay(path, 9)
    assert subject.check() == f"{path} is damaged: it does not match its hash."
    path.unlink()
    assert subject.check() == ""


def test_children_of_a_broken_or_missing_round_are_broken(tree):
    parents = [load(path).parent for path in tree.glob("rounds/*round01*")]
    children = {path: parents.count(load(path).key) for path in tree.glob("rounds/*round00*")}
    root = max(children, key=children.get)
    key, others = load(root).key, list(children.values()).count(0) - 1  # the order control of round 0 is a child
    (root / "metrics.csv").write_text("")
    for _ in ("broken", "missing"):
        printed = lines(tree)
        assert sum(line.startswith("ok ") for line in printed) == others
        assert sum(f"its parent {key} is missing or broken." in line for line in printed) > 5
        shutil.rmtree(root, ignore_errors=True)


def test_the_command_prints_a_line_for_each_round_and_exits_with_what_is_broken(tree, tmp_path, typed):
    def command(outputs: Path) -> tuple[int, list[str], str]:
        code, out, err = typed(main, outputs)
        return code, out.splitlines(), err

    one, *others = sorted((path.parent for path in tree.glob("rounds/*/round.json")), key=lambda p: "round00" not in p.name)
    for folder in others:
        shutil.rmtree(folder)
    code, (ok, *gone, summary), errors = command(tree)
    assert (code, ok, summary, errors) == (0, f"ok      {one.name}", "1 round: 1 ok, 0 broken", "")
    assert sorted(gone) == sorted(f"gone    {p.name}: results.csv has it, and its folder is not here" for p in others)
    (tree / "results.csv").write_bytes(b"\xff\0")
    (one / "metrics.csv").unlink()
    code, (broken, summary), errors = command(tree)
    assert (code, broken.partition(":")[0], summary, errors) == (1, f"broken  {one.name}", "1 round: 0 ok, 1 broken", "")
    missing = tmp_path / "nowhere"
    assert command(missing) == (2, [], f"lth: {missing} is no folder; name the outputs of an experiment.\n")
    with pytest.raises(UsageError, match="holds no finished round"):
        verify(tree / "tests")
