"""Someone who changes a finished round and makes every hash and number anew is found out by what rounds owe each other."""

import copy

import pytest
import torch

from lth.hashes import of_file
from lth.pruning import masks as M
from lth.tree import files
from lth.tree.ticket import Ticket
from tests.invariants.patient import Patient


def flipped(ticket: Ticket, parent: Ticket, *, kept: bool, inside: bool, last: bool = False) -> Ticket:
    """The ticket with one entry changed that is ``kept``, and that its parent keeps (``inside``) or not."""
    masks = {name: mask.clone() for name, mask in ticket.masks.items()}
    for name, mask in reversed(masks.items()) if last else masks.items():
        if len(there := ((mask == kept) & (parent.masks[name] == inside)).flatten().nonzero()):
            mask.view(-1)[there[0]] ^= True
            return Ticket(masks, ticket.rewind)
    raise AssertionError


def test_the_forger_is_a_good_one(patient):
    assert patient.forge(patient.ticket) == ""


def test_a_forged_mask_is_caught(patient):
    ticket, parent, kept = patient.ticket, patient.parent, patient.record["kept"]
    regrown = flipped(ticket, parent, kept=False, inside=False)
    assert patient.forge(regrown) == "it keeps weights that its parent had pruned: 1."
    more, fewer = (flipped(ticket, parent, kept=now, inside=True) for now in (False, True))
    assert patient.forge(more) == f"it keeps {kept + 1} weights, and the schedule asks for {kept}."
    assert patient.forge(fewer) == f"it keeps {kept - 1} weights, and the schedule asks for {kept}."
    exchanged = flipped(more, parent, kept=True, inside=True, last=True)
    assert "are not those of its parent's largest final weights" in patient.forge(exchanged)


def test_a_weight_exchanged_between_layers_is_caught(tree):
    patient = Patient(tree, allocation="layerwise")
    more = flipped(patient.ticket, patient.parent, kept=False, inside=True)
    exchanged = flipped(more, patient.parent, kept=True, inside=True, last=True)
    assert M.kept(exchanged.masks) == patient.record["kept"]
    assert "weights of conv1.weight, and the schedule asks for" in patient.forge(exchanged)


@pytest.mark.parametrize(
    ("fields", "whose"),
    [({}, "its parent's start"), ({"retrain": "lr"}, "its parent's final weights"), ({"rewind": "9it"}, "-9.")],
)
def test_a_forged_start_is_caught(tree, fields, whose):
    patient = Patient(tree, **fields)
    ticket = patient.ticket
    name = list(ticket.rewind)[-1]
    sentence = patient.forge(Ticket(ticket.masks, ticket.rewind | {name: ticket.rewind[name] + 1}))
    assert sentence.startswith("it does not start from ")
    assert whose in sentence
    assert sentence.endswith(f": {name} differ.")


@pytest.mark.parametrize("control", ["reinit", "shuffle", "random", "order"])
def test_a_forged_control_is_caught(tree, control):
    patient = Patient(tree, control=control)
    mine, original = patient.ticket, patient.parent
    swapped = Ticket(mine.masks, original.rewind) if control == "reinit" else Ticket(original.masks, mine.rewind)
    if control == "order":
        swapped = Ticket(mine.masks, {n: t + 1 for n, t in mine.rewind.items()})
    assert patient.forge(swapped) == f"the control {control} does not differ from its ticket in that alone."


def test_forged_final_weights_are_caught(patient):
    final, _ = files.read_tensors(patient.folder / "final.safetensors")
    name, mask = next((n, m) for n, m in patient.ticket.masks.items() if not m.all())

    def told(**weights):
        return patient.forge(patient.ticket, {n: t for n, t in (final | weights).items() if t is not None})

    assert told() == ""
    assert "holds 1 pruned weights that are not 0" in told(
        **{name: final[name].masked_scatter(~mask, torch.eye(1, mask.numel()))}
    )
    assert "holds numbers that are not finite" in told(**{name: torch.where(mask, torch.nan, 0.0)})
    assert "holds other tensors" in told(**{name: None})
    assert "holds other tensors" in told(**{name: final[name].double()})


def test_two_rounds_with_their_weights_exchanged_are_caught(tree):
    one, two = Patient(tree), Patient(tree, retrain="lr")
    a, b = (p.folder / "final.safetensors" for p in (one, two))
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    for patient in (one, two):
        assert patient.ask() == "final.safetensors is damaged: it does not match its hash."
        record = copy.deepcopy(patient.record)
        record["files"]["final.safetensors"] = of_file(patient.folder / "final.safetensors")
        assert "pruned weights that are not 0" in patient.write(record, sealed=True)
