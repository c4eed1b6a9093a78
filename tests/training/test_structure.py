"""Searches that prune channels or N:M patterns: exact counts, nested, rewound, checked again from files, controls alike."""

import shutil
from pathlib import Path

import pytest
import torch

import lth
from lth.errors import UsageError
from lth.export.shrink import shrink
from lth.invariants.verify import verify
from lth.pruning import channels as C
from lth.pruning import masks as M
from lth.pruning import n_of_m
from lth.tree.ticket import load_ticket, save_ticket
from tests.training import held, run

pytest.importorskip("torch_pruning", reason="channels need torch-pruning")


def _channels(ticket: lth.Ticket) -> int:
    return C.count(C.kept(ticket.groups, ticket.masks))


@pytest.mark.parametrize("allocation", ["global", "layerwise"])
def test_channel_tickets_keep_exactly_the_channels_of_the_schedule(make_config, allocation) -> None:
    config = make_config(model="conv2", rounds=2, rate=0.3, epochs=1)
    records = run(config, prune__structure="channels", prune__allocation=allocation, prune__controls="reinit+random")
    assert held(records)
    dense, *tickets = (load_ticket(record.folder) for record in records if record.control is None)
    count = [group.channels for group in tickets[0].groups]
    before, left = dense.masks, count
    for ticket in tickets:
        left = [n - round(0.3 * n) for n in left] if allocation == "layerwise" else [sum(left) - round(0.3 * sum(left))]
        assert _channels(ticket) == sum(left)
        assert M.regrown(ticket.masks, before) == 0
        assert all(torch.equal(ticket.rewind[n], t) for n, t in dense.rewind.items())
        before = ticket.masks
    for record in records:
        if record.control:
            ticket = load_ticket(next(r.folder for r in records if r.key == record.parent))
            control = load_ticket(record.folder)
            assert [int(k.sum()) for k in C.kept(control.groups, control.masks)] == [
                int(k.sum()) for k in C.kept(ticket.groups, ticket.masks)
            ]
            assert (record.control == "random") != all(map(torch.equal, control.masks.values(), ticket.masks.values()))
    assert verify(Path(config.outputs), say=lambda line: None) == 0


def test_a_channel_ticket_becomes_a_small_network_with_the_same_outputs(make_config) -> None:
    config = make_config(model="resnet20", rounds=1, rate=0.5, epochs=1)
    record = run(config, prune__structure="channels", prune__allocation="layerwise")[-1]
    net, images = lth.load_model(record.folder), torch.randn(5, 3, 20, 20)
    small = shrink(net, images).network
    count = [sum(p.numel() for p in one.parameters()) for one in (net, small)]
    assert count[1] < 0.65 * count[0]
    with torch.no_grad():
        assert torch.allclose(net(images), small(images), atol=1e-5)


def test_a_budget_of_flops_is_met(make_config) -> None:
    record = run(make_config(model="conv2", rounds=1, rate=0.5, epochs=1), prune__structure="channels", prune__budget="flops")[-1]
    assert 0.4 * record.flops < record.flops_remaining <= 0.5 * record.flops
    assert verify(record.folder.parent.parent, say=lambda line: None) == 0


@pytest.mark.parametrize("criterion", ["magnitude", "snip", "random"])
def test_two_of_four(make_config, criterion) -> None:
    config = make_config(model="conv2", rounds=3, epochs=1)
    records = run(config, prune__structure="2:4", prune__criterion=criterion, prune__controls="random+shuffle")
    assert [(r.round, r.control) for r in records] == [(0, None), (1, None), (1, "random"), (1, "shuffle")]
    assert held(records)
    for record in records[1:]:
        masks = load_ticket(record.folder).masks
        fitting = n_of_m.fitting(masks, 4)
        assert all(n_of_m.holds(masks[name], 2, 4) for name in fitting)
        assert record.checks["structure"]["left_dense"] == ["conv1.0.weight"]
        assert masks["conv1.0.weight"].all()
        assert record.rate == (None if record.round == 0 else 0.5)
    assert verify(Path(config.outputs), say=lambda line: None) == 0


def test_masks_of_another_structure_are_found_by_verify(make_config, tmp_path) -> None:
    """A ticket with one more weight pruned is no channel ticket, whatever its hashes say."""
    from lth.pruning import structure

    record = run(make_config(model="conv2", rounds=1, epochs=1), prune__structure="channels")[-1]
    ticket, config = load_ticket(record.folder), make_config(rounds=1).prune
    config.structure = "channels"
    dense = M.dense(ticket.masks)
    assert structure.check(config, 1, ticket.groups, ticket.masks, dense)["holds"]
    odd = {name: mask.clone() for name, mask in ticket.masks.items()}
    where = odd["fc1.1.weight"].nonzero()[0]
    odd["fc1.1.weight"][*where] = False
    assert not structure.check(config, 1, ticket.groups, odd, dense)["holds"]
    fewer = C.masks(ticket.groups, [k & (torch.arange(len(k)) != k.nonzero()[0]) for k in C.kept(ticket.groups, odd)], dense)
    assert not structure.check(config, 1, ticket.groups, fewer, dense)["holds"]
    shutil.copytree(record.folder, tmp_path / "copy")
    save_ticket(tmp_path / "copy", lth.Ticket(ticket.masks, ticket.rewind, ticket.groups), record.start)
    assert load_ticket(tmp_path / "copy").groups == ticket.groups


@pytest.mark.parametrize("sentence", ["finetune=head", "groups fewer would be left"])
def test_what_cannot_be_pruned_by_channels_is_said_before_training(make_config, sentence) -> None:
    changes = {"finetune": "head", "model": "resnet18"} if "=" in sentence else {"rounds": 30, "rate": 0.5, "model": "resnet20"}
    with pytest.raises(UsageError, match=sentence):
        run(make_config(**changes), prune__structure="channels")
    assert not list(Path(make_config().outputs).glob("rounds/*/round.json"))


def test_a_module_of_ones_own_has_no_channels_to_prune(tmp_path) -> None:
    from tests.own.modules import Regression, Table

    with pytest.raises(UsageError, match="not accepted with a module of your own"):
        lth.search(
            model=Regression, data=Table(), name="own", rounds=1, epochs=1, structure="channels", outputs=tmp_path,
            score="val/r2", loss="val/mse",
        )  # fmt: skip
