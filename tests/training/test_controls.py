"""Each control differs from its ticket in the one named thing, and is a round of its own; errors on the line between copies."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lth import load_ticket
from lth.config import Config, Prune
from lth.data.module import ImageData
from lth.data.split import prepare
from lth.errors import InvariantError, UsageError
from lth.hashes import differing
from lth.invariants.verify import verify
from lth.models.build import build
from lth.models.classifier import Classifier
from lth.pruning import masks as M
from lth.training import connectivity
from lth.tree import spec as keys
from tests.training import final, held, run


def test_each_control_changes_its_one_thing_alone(make_config):
    config = make_config(rounds=2, rate=0.4)
    records = run(config, prune__controls="reinit+shuffle+random+order+sign", prune__control_rounds="2")
    ticket, controls = records[2], {record.control: record for record in records if record.control}
    assert set(controls) == {"reinit", "shuffle", "random", "order", "sign"}
    assert held(records)
    original, same = load_ticket(ticket.folder), M.hash_masks
    made = {name: load_ticket(record.folder) for name, record in controls.items()}
    for record in controls.values():
        assert record.parent == ticket.key
        for name in ("round", "kept", "density", "layers", "recipe", "step", "epochs", "iterations", "seed", "rate"):
            assert getattr(record, name) == getattr(ticket, name), name
        assert record.name.count(record.control) == 1

    weights = {name for name in original.rewind if name.endswith("weight")}
    assert set(differing(original.rewind, made["reinit"].rewind)) == weights, "the biases of LeNet start at zero"
    for name in weights:
        both = [made["reinit"].rewind[name].flatten(), original.rewind[name].flatten()]
        assert abs(both[0].std() / both[1].std() - 1) < 0.15, "of the same distribution"
        assert abs(torch.corrcoef(torch.stack(both))[0, 1]) < 0.15

    for control in ("shuffle", "random"):
        assert M.per_layer(original.masks) == M.per_layer(made[control].masks)
        for name, mask in original.masks.items():
            overlap = int((mask & made[control].masks[name]).sum()) / mask.numel()
            assert abs(overlap - float(mask.float().mean()) ** 2) < 0.1, "independent of the mask that it replaces"
    assert same(made["shuffle"].masks) != same(made["random"].masks)
    assert same(made["reinit"].masks) == same(made["order"].masks) == same(original.masks)
    assert not any(differing(original.rewind, made[name].rewind) for name in ("shuffle", "random", "order"))
    assert differing(final(ticket), final(controls["order"])), "it trains on another order"

    assert same(made["sign"].masks) == same(original.masks)
    assert set(differing(original.rewind, made["sign"].rewind)) == weights
    for name in weights:
        one, signs = original.rewind[name], made["sign"].rewind[name]
        assert torch.equal(one.sign(), signs.sign())
        assert signs.abs().unique().tolist() == [pytest.approx(one.std(correction=0).item())]


def test_every_round_of_a_chain_may_start_from_signs(make_config):
    dense, *tickets = run(make_config(rounds=2, rate=0.5), prune__rewind="sign", prune__controls="reinit")
    init = load_ticket(dense.folder).rewind
    starts = [load_ticket(ticket.folder).rewind for ticket in tickets]
    assert held([dense, *tickets])
    assert [ticket.control for ticket in tickets] == [None, None, "reinit", "reinit"]
    assert not differing(starts[0], starts[1])
    assert not differing(starts[0], M.signed(init, load_ticket(tickets[0].folder).masks))
    assert verify(dense.folder.parent.parent, say=lambda line: None) == 0
    for name in ("fc1.1.weight", "head.weight"):
        assert len(starts[2][name].abs().unique()) == 1, "re-initialised signs have one magnitude, too"
        assert 0.4 < (starts[2][name].sign() == starts[0][name].sign()).float().mean() < 0.6


def test_signs_by_hand():
    state = {"w": torch.tensor([3.0, -1.0]), "v": torch.tensor([4.0, 0.0]), "b": torch.tensor([5.0])}
    signs = M.signed(state, {name: torch.ones(2, dtype=torch.bool) for name in "wv"})
    assert {name: t.tolist() for name, t in signs.items()} == {"w": [2, -2], "v": [2, 0], "b": [5]}


def test_a_control_is_the_same_whenever_it_is_trained(make_config, tmp_path):
    def shuffled(outputs, **prune):
        records = run(make_config(outputs=tmp_path / outputs, rounds=1), **prune)
        [control] = [r for r in records if r.control == "shuffle"]
        return control.key, (control.folder / "final.safetensors").read_bytes()

    once = shuffled("a", prune__controls="reinit+shuffle")
    run(make_config(outputs=tmp_path / "b", rounds=3))
    assert shuffled("b", prune__controls="shuffle", prune__control_rounds="1") == once


def test_the_compute_matched_dense_network_trains_as_long_as_the_chain(make_config):
    records = run(make_config(rounds=2, epochs=2), prune__controls="dense", prune__control_rounds="1+2")
    dense = [record for record in records if record.round == 0]
    assert [(record.epochs, record.iterations) for record in dense] == [(2, 14), (4, 28), (6, 42)]
    assert len({record.family for record in dense}) == 1
    assert len({record.recipe for record in dense}) == 3
    assert all(record.density == 1 and record.control is None for record in dense)


def test_reinit_leaves_frozen_weights_alone(make_config):
    config = make_config(rounds=1, model="resnet18", finetune="layer4", epochs=1, image_size=32)
    ticket, control = (load_ticket(record.folder) for record in run(config, prune__controls="reinit")[1:])
    moved = differing(ticket.rewind, control.rewind)
    assert moved
    assert all(name.startswith(("layer4.", "fc.")) for name in moved)


def test_keys_of_controls():
    def specs(**prune):
        config = Config(prune=Prune(rounds=3, **prune))
        chain = keys.chain(config, "images", "32-true")
        return chain, keys.controls(config.prune, chain)

    chain, made = specs(controls="all")
    assert [(s.index, s.control) for s in made[:4]] == [(1, "reinit"), (1, "shuffle"), (1, "random"), (0, None)]
    assert len({s.key for s in [*chain, *made]}) == 4 + 3 * 4
    assert {s.parent.key for s in made if s.control} == {s.key for s in chain[1:]}
    assert specs(controls="none")[1] == []
    assert [(s.index, s.control) for s in specs(controls="order")[1]] == [(k, "order") for k in range(4)]
    [once] = specs(controls="shuffle+shuffle", control_rounds="3+3")[1]
    assert once.key == made[9].key, "what is named twice is trained once"
    with pytest.raises(UsageError, match=r"prune.control_rounds=2\+7 .* there is no round 7; it takes all, or numbers up to 3"):
        specs(controls="all", control_rounds="2+7")


def test_a_shuffle_that_does_nothing_is_not_kept(make_config, monkeypatch):
    monkeypatch.setattr(M, "shuffled", lambda masks, seed: masks)
    with pytest.raises(InvariantError, match="'control'"):
        run(make_config(rounds=1), prune__controls="shuffle")


def test_a_random_mask_is_uniform():
    picks = np.mean([M.random_like({"w": torch.arange(100) < 30}, seed)["w"].numpy() for seed in range(400)], axis=0)
    assert abs(picks - 0.3).max() < 0.1


def test_copies_of_a_round_have_a_barrier_in_their_row(make_config):
    config = make_config(rounds=1, epochs=4)
    records = run(config, prune__controls="order")
    copies = [record for record in records if record.control == "order"]
    assert [record.round for record in copies] == [0, 1]
    for copy, original in zip(copies, records):
        errors = copy.line["errors"]
        assert (copy.line["alphas"][0], copy.line["alphas"][-1], len(errors)) == (0, 1, connectivity.STEPS)
        assert errors[0] == pytest.approx(1 - original.test_acc, abs=1e-6), "LeNet has no statistics to estimate"
        assert errors[-1] == pytest.approx(1 - copy.test_acc, abs=1e-6)
        assert copy.barrier == max(errors) - (errors[0] + errors[-1]) / 2
        assert all(math.isfinite(t.sum()) for t in final(copy).values())
    rows = list(csv.DictReader((Path(config.outputs) / "results.csv").read_text().splitlines()))
    assert [(row["control"], row["round"], row["barrier"] != "") for row in rows] == [
        ("", "0", False), ("", "1", False), ("order", "0", True), ("order", "1", True),
    ]  # fmt: skip


@pytest.mark.parametrize(("model", "finetune"), [("resnet20", "all"), ("resnet18", "layer4")])
def test_on_the_line_statistics_are_those_of_the_training_images_where_they_are_trained(make_config, model, finetune):
    config = make_config(model=model, rounds=0, finetune=finetune, image_size=32)
    net, data = Classifier(build(config, 3), config.optim, 3).net, ImageData(prepare(config.data), 16, 0)
    state, seen, modes = {n: t.clone() for n, t in net.state_dict().items()}, [], set()
    norm = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)][0 if finetune == "all" else -1]
    net.bn1.running_mean.add_(77)
    other = {n: t.clone() for n, t in net.state_dict().items()}

    def note(module, args):
        if module.training:
            seen.append((args[0].mean((0, 2, 3)), len(args[0]), module.momentum))

    norm.register_forward_pre_hook(note)
    net.bn1.register_forward_pre_hook(lambda module, args: modes.add(module.training))
    line = connectivity.line(net, data, state, other)
    assert sum(count for _, count, _ in seen) == connectivity.STEPS * len(data.splits.train)
    assert all(momentum is None for *_, momentum in seen), "a plain average over the batches"
    assert norm.momentum == 0.1
    assert modes == ({True, False} if finetune == "all" else {False})
    if finetune == "all":
        assert line["barrier"] == 0, "what is between differs in statistics alone, which are estimated anew"
    assert not differing(net.state_dict(), other)
