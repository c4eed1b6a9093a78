"""Tickets that travel: masks that another round found, trained on this data."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import lth.run as command
from lth import load_ticket
from lth.config import Model, Prune
from lth.errors import DataError, UsageError, notice_once
from lth.hashes import differing
from lth.invariants.verify import verify
from lth.pruning import masks as M
from lth.training.experiment import ImageExperiment
from lth.tree import origin
from lth.tree.record import Record
from lth.tree.ticket import Ticket
from tests.invariants.subject import Subject
from tests.training import final, held, run

HALF = ["fc1.1.weight", "fc2.0.weight"]  # the layers of LeNet before the head


@pytest.fixture
def found(make_config, tmp_path) -> list[Record]:
    """A search on two of three classes: dense, round 1, round 2 and its control."""
    config = make_config(tmp_path / "a", rounds=2, rate=0.5, epochs=1)
    return run(config, data__classes="across+down", prune__controls="reinit", prune__control_rounds="2")


def travel(make_config, ticket: object, **changes) -> list[Record]:
    return run(make_config(epochs=1, **changes), prune__ticket=str(ticket))


def broken(outputs: Path) -> int:
    return verify(outputs, say=lambda line: None)


def test_masks_that_fit_are_those_of_the_other_round_and_the_rest_is_dense(make_config, found, tmp_path, capsys):
    notice_once.cache_clear()
    dense, ticket = travel(make_config, found[2].folder)
    assert "lth: prune.ticket leaves head.weight dense: of another shape" in capsys.readouterr().err
    assert held([dense, ticket])
    theirs, ours, init = (load_ticket(r.folder) for r in (found[2], ticket, dense))
    assert M.hash_masks({n: ours.masks[n] for n in HALF}) == M.hash_masks({n: theirs.masks[n] for n in HALF})
    assert ours.masks["head.weight"].all()
    assert not differing(ours.rewind, init.rewind)
    counts = {n: M.kept({n: theirs.masks[n]}) for n in HALF}
    assert ticket.kept == sum(counts.values()) + 300
    assert ticket.checks["origin"] == {
        "holds": True, "masks": M.hash_masks({n: ours.masks[n] for n in HALF}), "dense": ["head.weight"], "left": ["head.weight"]
    }  # fmt: skip
    assert (ticket.parent, ticket.round, ticket.rate, ticket.criterion) == (dense.key, 1, None, None)
    assert (ticket.origin["round"], ticket.origin["classes"]) == (2, ["across", "down"])
    assert ticket.settings["prune.ticket"] == f"round 2 of {found[2].recipe[:6]}"
    shutil.rmtree(tmp_path / "a")
    assert broken(tmp_path / "outputs") == 0, "the other round may be gone"


@pytest.mark.parametrize("retrain", ["lr", "finetune"])
def test_it_may_start_from_trained_weights(make_config, found, tmp_path, retrain):
    dense, ticket = run(make_config(epochs=1), prune__ticket=str(found[1].folder), prune__retrain=retrain)
    trained = M.apply(final(dense), load_ticket(ticket.folder).masks)
    assert not differing(load_ticket(ticket.folder).start, trained)
    assert broken(tmp_path / "outputs") == 0


def test_its_controls_are_those_of_any_ticket(make_config, found, tmp_path):
    records = run(make_config(epochs=1), prune__ticket=str(found[1].folder), prune__controls="random+sign")
    assert [record.control for record in records] == [None, None, "random", "sign"]
    assert len({(record.kept, record.step, str(record.origin)) for record in records[1:]}) == 1
    assert held(records)
    assert broken(tmp_path / "outputs") == 0


def keys(config, **prune) -> list[tuple[str, str]]:
    specs = ImageExperiment.of(replace(config, prune=replace(config.prune, **prune))).rounds()
    return [(spec.key, spec.facts()["step"]) for spec in specs]


def test_keys_follow_the_masks_not_the_place_and_replicates_share_a_step(make_config, found, tmp_path):
    config, place = make_config(epochs=1), str(found[2].folder)
    [dense, ticket] = keys(config, ticket=place)
    assert keys(config, rounds=0)[0] == dense
    assert keys(config, ticket=place, rounds=9, rate=0.7, criterion="random", allocation="layerwise", head_rate=0.5)[1] == ticket
    moved = shutil.copytree(place, tmp_path / "moved")
    assert keys(config, ticket=str(moved))[1] == ticket
    assert keys(config, ticket=f"{tmp_path}/a/rounds/*seed{config.seed}-round02*")[1] == ticket, "its control apart"
    assert keys(config, ticket=place, retrain="lr")[1][1] != ticket[1]
    assert keys(config, ticket=str(found[1].folder))[1][1] != ticket[1]
    other = run(make_config(tmp_path / "a", rounds=2, rate=0.5, epochs=1, seed=1), data__classes="across+down")
    same = keys(config, ticket=str(other[2].folder))[1]
    assert (same[1], same[0] != ticket[0]) == (ticket[1], True), "another seed found it"


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


WRONG = {  # what is done to the round's folder, what is named, the sentence
    "nothing there": (None, "{a}/nowhere", "it takes the folder of a finished round, or a pattern .*; it matches 0 folders"),
    "several": (None, "{a}/rounds/*seed0*", r"it matches 3 folders: lenet.*round00.*, lenet.*round01.*, lenet"),
    "no round": (None, "{a}", "is no round, or not finished; it takes the folder"),
    "unfinished": (lambda folder: (folder / "round.json").unlink(), "{a}/rounds/*round02*", "not finished"),
    "dense": (None, "{a}/rounds/*round00*", "it takes a ticket; lenet.* is the dense network"),
    "control": (None, "{a}/rounds/*reinit*", "it takes a ticket; lenet.* is reinit"),
    "damaged": (lambda folder: damage(folder / "round.json"), "{a}/rounds/*round02*", "round.json is damaged"),
    "damaged masks": (lambda folder: damage(folder / "ticket.safetensors"), "{a}/rounds/*round02*", "does not match its hash"),
}


def test_what_is_no_ticket_is_one_sentence(make_config, found, tmp_path):
    for harm, named, sentence in WRONG.values():
        place = shutil.copytree(tmp_path / "a", tmp_path / "harmed", ignore=shutil.ignore_patterns("cache"), dirs_exist_ok=True)
        if harm:
            harm(place / "rounds" / found[2].name)
        with pytest.raises((UsageError, DataError), match=sentence) as raised:
            travel(make_config, named.format(a=place))
        assert "\n" not in str(raised.value)
        shutil.rmtree(place)
    assert not (tmp_path / "outputs" / "rounds").exists(), "nothing was trained before"
    with pytest.raises(UsageError, match=r"it takes a ticket of model=conv2; lenet.* is of lenet_300_100"):
        travel(make_config, found[2].folder, model="conv2")
    with pytest.raises(UsageError, match=r"none of its layers .*is pruned here with the same shape; here are head.weight"):
        run(make_config(epochs=1, finetune="head"), prune__ticket=str(found[2].folder))
    with pytest.raises(UsageError, match=r"prune.structure=2:4 is not accepted: it takes weights with prune.ticket"):
        Prune(structure="2:4", ticket="x")


def test_a_network_of_timm_takes_tickets_of_its_own(make_config, found, monkeypatch):
    """Records call it ``timm/NAME``, as tables do."""
    monkeypatch.setattr(origin, "load", lambda folder: replace(found[2], model="timm/vit"))
    config = make_config()
    named = replace(config, prune=replace(config.prune, ticket=str(found[2].folder)))
    assert origin.find(replace(named, model=Model("vit", "timm"))).model == "timm/vit"
    with pytest.raises(UsageError, match=r"it takes a ticket of model=vit; lenet.* is of timm/vit"):
        origin.find(replace(named, model=Model("vit")))


def exchanged(ticket: Ticket, layer: str, *, count: int = 1) -> Ticket:
    """Return the ticket with ``count`` kept weights of a layer exchanged for pruned ones."""
    mask = ticket.masks[layer].clone()
    for kept in (True, False):
        mask.view(-1)[(ticket.masks[layer] == kept).flatten().nonzero()[:count]] = not kept
    return Ticket(ticket.masks | {layer: mask}, ticket.rewind)


def test_other_masks_than_those_of_the_other_round_are_named(make_config, found, tmp_path):
    config = make_config(epochs=1)
    ticket = run(config, prune__ticket=str(found[2].folder), data__classes="across+plain")[1]
    assert ticket.checks["origin"]["left"] == [], "two classes here, too: all layers fit"
    fields = {"round": 1, "allocation": None, "rate": None}
    subject = Subject(tmp_path / "outputs", **fields)
    assert subject.forge() == ""
    forged = exchanged(subject.ticket, HALF[0])
    new = subject.facts["checks"]["origin"] | {"masks": M.hash_masks(forged.masks)}
    subject.facts["checks"]["origin"] = new
    assert "'origin' does not hold" in subject.forge(forged), "as many weights, the check forged, the key's hash not"


def test_a_sweep_over_seeds_is_one_command_which_is_judged_beside_this_datas_own_tickets(images, tmp_path, typed):
    options = (
        f"data=folder data.root={images} data.image_size=8 data.batch_size=16 data.cache={tmp_path}/cache epochs=1"
        " model=lenet_300_100 trainer=cpu seed=0,1 prune.rate=0.5 prune.rounds=1"
    ).split()
    travels = [f"outputs={tmp_path}/b", f"prune.ticket=null,{tmp_path}/a/rounds/*seed${{seed}}-round01*"]
    for more in ([f"outputs={tmp_path}/a", "data.classes=across+down"], travels, [*travels, "hydra/launcher=local", "--dry-run"]):
        _, out, _ = typed(command.main, "-m", *options, *more)
    assert "6 finished, 0 to train" in out
    verdict = (tmp_path / "b" / "verdict.md").read_text()
    assert "lenet_300_100 all, tickets found on across+down, 50% a round, masks of recipe " in verdict
    assert "beside this data's own ticket" in verdict
    assert "this data's own ticket (50.00%)" in verdict
    rows = list(csv.DictReader((tmp_path / "b" / "results.csv").read_text().splitlines()))
    assert sorted((row["seed"], row["round"], row["rate"]) for row in rows if row["round"] == "1") == [
        ("0", "1", ""), ("0", "1", "0.5"), ("1", "1", ""), ("1", "1", "0.5"),
    ]  # fmt: skip
    assert len({row["step"] for row in rows if row["round"] == "1"}) == 2
