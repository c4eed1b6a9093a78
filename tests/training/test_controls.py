"""Each control differs from its ticket in the one named thing, and is a round of its own."""

import numpy as np
import pytest
import torch

from lth import load_ticket
from lth.config import CONTROLS, Config, Prune
from lth.errors import InvariantError, UsageError
from lth.hashes import differing
from lth.pruning import masks as M
from lth.training.search import search
from lth.tree import files
from lth.tree import spec as keys


def run(config, **prune):
    for name, value in prune.items():
        setattr(config.prune, name, value)
    return search(config, say=lambda line: None)


def folder(config, record):
    from pathlib import Path

    return Path(config.outputs) / "rounds" / record.name


@pytest.fixture
def suite(make_config):
    config = make_config(rounds=2, rate=0.4)
    records = run(config, controls="reinit+shuffle+random+order", control_rounds="2")
    found = {record.control: record for record in records if record.control}
    return config, records[2], found, {n: load_ticket(folder(config, r)) for n, r in [("ticket", records[2]), *found.items()]}


def test_controls_are_children_of_their_ticket_with_its_density_and_recipe(suite):
    _, ticket, found, _ = suite
    assert set(found) == {"reinit", "shuffle", "random", "order"}
    for record in found.values():
        assert record.parent == ticket.key
        for name in ("round", "kept", "density", "layers", "recipe", "step", "epochs", "iterations", "seed", "rate"):
            assert getattr(record, name) == getattr(ticket, name), name
        assert all(entry["holds"] for entry in record.checks.values())
        assert record.name.count(record.control) == 1


def test_reinit_changes_the_weights_alone(suite):
    _, _, _, tickets = suite
    ticket, control = tickets["ticket"], tickets["reinit"]
    assert M.hash_masks(ticket.masks) == M.hash_masks(control.masks)
    weights = {name for name in ticket.rewind if name.endswith("weight")}
    assert set(differing(ticket.rewind, control.rewind)) == weights, "the biases of LeNet start at zero"
    for name in weights:
        assert abs(control.rewind[name].std() / ticket.rewind[name].std() - 1) < 0.15, "of the same distribution"
        both = torch.stack([control.rewind[name].flatten(), ticket.rewind[name].flatten()])
        assert abs(torch.corrcoef(both)[0, 1]) < 0.15


@pytest.mark.parametrize("control", ["shuffle", "random"])
def test_a_new_mask_changes_the_mask_alone(suite, control):
    _, _, _, tickets = suite
    ticket, other = tickets["ticket"], tickets[control]
    assert not differing(ticket.rewind, other.rewind)
    assert M.per_layer(ticket.masks) == M.per_layer(other.masks)
    for name, mask in ticket.masks.items():
        assert not torch.equal(mask, other.masks[name]), "a shuffle that does nothing"
        overlap = int((mask & other.masks[name]).sum()) / mask.numel()
        density = float(mask.float().mean())
        assert abs(overlap - density**2) < 0.1, "independent of the mask that it replaces"
    assert not differing({n: t for n, t in tickets["shuffle"].masks.items() if torch.equal(t, tickets["random"].masks[n])}, {}), (
        "two draws"
    )


def test_order_changes_nothing_that_training_starts_from(suite):
    config, ticket, found, tickets = suite
    assert M.hash_masks(tickets["ticket"].masks) == M.hash_masks(tickets["order"].masks)
    assert not differing(tickets["ticket"].rewind, tickets["order"].rewind)
    ends = [files.read_tensors(folder(config, r) / "final.safetensors")[0] for r in (ticket, found["order"])]
    assert differing(*ends), "it trains on another order"


def test_a_control_is_the_same_whenever_it_is_trained(make_config, tmp_path):
    def final(outputs, **prune):
        config = make_config(outputs=tmp_path / outputs, rounds=1)
        [control] = [r for r in run(config, **prune) if r.control == "shuffle"]
        return control.key, (folder(config, control) / "final.safetensors").read_bytes()

    once = final("a", controls="reinit+shuffle")
    run(make_config(outputs=tmp_path / "b", rounds=3))
    assert final("b", controls="shuffle", control_rounds="1") == once


def test_the_compute_matched_dense_network_trains_as_long_as_the_chain(make_config):
    records = run(make_config(rounds=2, epochs=2), controls="dense", control_rounds="1+2")
    dense = [record for record in records if record.round == 0]
    assert [record.epochs for record in dense] == [2, 4, 6]
    assert [record.iterations for record in dense] == [14, 28, 42]
    assert len({record.family for record in dense}) == 1
    assert len({record.recipe for record in dense}) == 3
    assert all(record.density == 1 and record.control is None for record in dense)


def test_reinit_leaves_frozen_weights_alone(make_config):
    config = make_config(rounds=1, model="resnet18", finetune="layer4", epochs=1, image_size=32)
    records = run(config, controls="reinit")
    ticket, control = (load_ticket(folder(config, r)) for r in records[1:])
    moved = differing(ticket.rewind, control.rewind)
    assert moved
    assert all(name.startswith(("layer4.", "fc.")) for name in moved)


def specs(**prune):
    config = Config(prune=Prune(rounds=3, **prune))
    chain = keys.chain(config, "images", "32-true")
    return chain, keys.controls(config.prune, chain)


def test_keys_of_controls():
    chain, made = specs(controls="all")
    assert [(s.index, s.control) for s in made[:4]] == [(1, "reinit"), (1, "shuffle"), (1, "random"), (0, None)]
    assert len({s.key for s in [*chain, *made]}) == 4 + 3 * 4
    assert {s.parent.key for s in made if s.control} == {s.key for s in chain[1:]}
    assert specs(controls="none")[1] == []
    assert [(s.index, s.control) for s in specs(controls="order")[1]] == [(k, "order") for k in range(4)]
    assert specs(controls="shuffle", control_rounds="3")[1][0].key == specs(controls="all")[1][9].key


def test_what_is_named_twice_is_trained_and_shown_once():
    _, once = specs(controls="reinit+shuffle", control_rounds="1+2")
    _, twice = specs(controls="reinit+shuffle+reinit", control_rounds="1+2+1")
    assert [spec.key for spec in twice] == [spec.key for spec in once]


def test_a_round_that_is_not_there_has_no_controls():
    with pytest.raises(UsageError, match=r"prune.control_rounds=2\+7 .* there is no round 7; it takes all, or numbers up to 3"):
        specs(controls="all", control_rounds="2+7")


@pytest.mark.parametrize("value", ["reinit,shuffle", "shufle", "all+reinit", ""])
def test_unknown_controls_are_refused(value):
    with pytest.raises(UsageError, match=f"prune.controls=.*{CONTROLS[0]}"):
        Prune(controls=value)


def test_a_shuffle_that_does_nothing_is_not_kept(make_config, monkeypatch):
    monkeypatch.setattr(M, "shuffled", lambda masks, seed: masks)
    with pytest.raises(InvariantError, match="'control'"):
        run(make_config(rounds=1), controls="shuffle")


def test_a_random_mask_is_uniform():
    mask = {"w": torch.arange(100) < 30}
    picks = np.mean([M.random_like(mask, seed)["w"].numpy() for seed in range(400)], axis=0)
    assert abs(picks - 0.3).max() < 0.1
