"""Each invariant is broken on purpose: in its pure function, and in a search that is sabotaged."""

import pytest
import torch
from torch import nn

from lth.errors import InvariantError
from lth.invariants import checks
from lth.pruning import masks as M
from lth.pruning.callback import LotteryTicket
from lth.training import fit
from lth.training.search import search
from lth.tree.ticket import Ticket

MASK = {"w": torch.tensor([True, True, False])}
START = {"w": torch.tensor([1.0, -1.0, 0.0]), "mean": torch.zeros(2)}
MANY, ALL = {"w": torch.randn(5000)}, {"w": torch.ones(5000, dtype=torch.bool)}
FRESH = {"w": ("torch.float32", 3), "conv.groups": (2,)}


def w(*values: float) -> dict[str, torch.Tensor]:
    return {"w": torch.tensor(values)}


def untouched(shapes=FRESH, masks=MASK, scope=("w",), frozen=None):
    return checks.untouched(shapes, FRESH, masks, scope, frozen or w(1), w(1))


def origin(masks=MASK, fitting=("w",), kept=None, expected=MASK, whole=MASK):
    """The masks of another round, of which ``expected`` fit; ``v`` has another shape here."""
    return checks.origin(masks, {"kept": kept or {"w": 2}, "masks": M.hash_masks(whole)}, fitting, M.hash_masks(expected))


OTHER, WIDE = {"w": torch.tensor([True, False, True])}, {"v": torch.ones(4, dtype=torch.bool)}
HOLDING = {
    "all masks of another round": origin(),
    "those of its masks that fit": origin(MASK | WIDE, kept={"w": 2, "v": 1}, whole=MASK | OTHER),
    "exact_count": checks.exact_count(MASK, 2),
    "exact_count in each layer": checks.exact_count(MASK, {"w": 2}),
    "nested in nothing": checks.nested(MASK, None),
    "nested": checks.nested(MASK, {"w": torch.tensor([True, True, True])}),
    "start": checks.start(START, dict(START), w(0), w(0), 0.1, 0.1),
    "start at any rate": checks.start(START, START, lr=0.1),
    "zeros": checks.zeros([0, 0], w(1.5, -1.5, 0), START, MASK),
    "zeros, hardly a weight moved": checks.zeros([0], {"w": MANY["w"].where(torch.arange(5000) > 0, 2.0)}, MANY, ALL),
    "zeros, all moved": checks.zeros([0], {"w": MANY["w"] + 1}, MANY, ALL),
    "zeros, frozen": checks.zeros([0], MANY, MANY, ALL),
    "untouched": untouched(),
    "init_unchanged": checks.init_unchanged(START, checks.of_tensors(START)[:16]),
    "ranks": checks.ranks(MASK, True, 2),
    "layer_collapse": checks.layer_collapse(MASK, 2 / 3),
    "layer_collapse of unknown paths": checks.layer_collapse(MASK, None),
}
BROKEN = {
    "one weight too many": checks.exact_count(MASK, 1),
    "a layer with one too many": checks.exact_count(MASK | {"v": MASK["w"]}, {"w": 1, "v": 3}),
    "a regrown weight": checks.nested(MASK, {"w": torch.tensor([True, False, True])}),
    "another weight": checks.start(START | w(1, 1, 0), START),
    "minus zero": checks.start(START | w(1, -1, -0.0), START),
    "another buffer": checks.start(START | {"mean": torch.ones(2)}, START),
    "a missing tensor": checks.start(w(1, -1, 0), START),
    "a stale optimiser": checks.start(START, START, {"w/exp_avg": torch.ones(3)}, {}),
    "another rate": checks.start(START, START, lr=0.05, expected_lr=0.1),
    "a pruned weight back for an epoch": checks.zeros([0, 1], w(1.5, -1.5, 0), START, MASK),
    "a pruned weight in the file": checks.zeros([0], w(1.5, -1.5, 1e-9), START, MASK),
    "negative weights that do not learn": checks.zeros([0], {"w": MANY["w"] + (MANY["w"] > 0)}, MANY, ALL),
    "another shape": untouched({"w": ("torch.float32", 4), "conv.groups": (2,)}),
    "another type": untouched({"w": ("torch.float64", 3), "conv.groups": (2,)}),
    "another key": untouched({"w_orig": ("torch.float32", 3), "conv.groups": (2,)}),
    "ungrouped": untouched({"w": ("torch.float32", 3), "conv.groups": (1,)}),
    "a mask outside the scope": untouched(masks=MASK | {"bias": MASK["w"]}),
    "a weight of the scope without a mask": untouched(scope=("w", "v")),
    "a frozen weight that moved": untouched(frozen=w(2)),
    "another init": checks.init_unchanged(START | w(1, 1, 0), checks.of_tensors(START)[:16]),
    "other masks than another round's": origin(OTHER),
    "other masks, though the check says they are the same": origin(OTHER, expected=OTHER),
    "more weights than another round keeps": origin(kept={"w": 1, "v": 1}),
    "what does not fit, but is pruned": origin(MASK | {"v": MASK["w"]}, kept={"w": 2, "v": 1}, whole=MASK | OTHER),
    "a layer that is left dense, though it is no other's": origin(MASK | WIDE, whole=OTHER),
    "ranks that differ": checks.ranks(MASK, False, 2),
    "more weights on paths than kept": checks.layer_collapse(MASK, 0.7),
}


@pytest.mark.parametrize("name", HOLDING)
def test_what_holds(name):
    checks.require({name: HOLDING[name]})


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken(name):
    assert not BROKEN[name]["holds"]
    with pytest.raises(InvariantError, match=f"^the invariant 'broken' does not hold: .*{list(BROKEN[name])[-1]}="):
        checks.require({"fine": HOLDING["nested"], "broken": BROKEN[name]})


def test_a_collapsed_layer_is_named_and_breaks_nothing():
    entry = checks.layer_collapse(MASK | {"v": torch.zeros(4, dtype=torch.bool)}, 0.0)
    assert entry == {"holds": True, "collapsed": ["v"], "effective_density": 0.0}


def test_shapes_show_types_groups_and_reparametrised_layers():
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Linear(2, 2))
    fresh = checks.shapes_of(net.state_dict(), net)
    assert fresh["0.groups"] == (2,)
    assert fresh["0.weight"] == ("torch.float32", 4, 2, 3, 3)
    nn.utils.prune.identity(net[1], "weight")
    assert fresh != checks.shapes_of(net.state_dict(), net)


def test_a_control_differs_in_its_one_thing_alone():
    torch.manual_seed(0)
    mask, start = {"w": torch.rand(40, 10) < 0.5}, {"w": torch.randn(40, 10), "frozen": torch.randn(3)}
    shuffled, other = {"w": mask["w"].flip(0)}, start | {"w": torch.randn(40, 10)}
    flipped = M.signed(start, mask)["w"] * torch.where(torch.arange(10) > 0, 1, -1)
    changes = {  # what differs from the ticket (mask, start), and whether the order does -> the controls that may be so
        "nothing": (mask, start, False, set()),
        "weights": (mask, other, False, {"reinit"}),
        "magnitudes": (mask, M.signed(start, mask), False, {"reinit", "sign"}),
        "other magnitudes": (mask, start | {"w": start["w"].sign()}, False, {"reinit"}),
        "a sign": (mask, M.signed(start, mask) | {"w": flipped}, False, {"reinit"}),
        "magnitudes and a frozen weight": (mask, M.signed(start, mask) | {"frozen": torch.zeros(3)}, False, set()),
        "magnitudes and order": (mask, M.signed(start, mask), True, set()),
        "a frozen weight": (mask, start | {"frozen": torch.zeros(3)}, False, set()),
        "masks": (shuffled, start, False, {"shuffle", "random"}),
        "masks and weights": (shuffled, other, False, set()),
        "density": ({"w": torch.rand(40, 10) < 0.6}, start, False, set()),
        "order": (mask, start, True, {"order"}),
        "masks and order": (shuffled, start, True, set()),
        "weights and order": (mask, other, True, set()),
    }
    for name, (masks, weights, order, accepted) in changes.items():
        tickets = Ticket(masks, weights), Ticket(mask, start)
        entries = [checks.control(kind, *tickets, ["w"], order) for kind in ("reinit", "shuffle", "random", "order", "sign")]
        assert {entry["control"] for entry in entries if entry["holds"]} == accepted, name


def forget(network, state, masks):
    """Mask the trained weights, and rewind none."""
    for name, mask in masks.items():
        network.get_parameter(name).data.mul_(mask)


def alias(network, state, masks, rewind=M.rewind_):
    """Rewind, and have the saved weights share their memory with the live ones."""
    rewind(network, state, masks)
    state |= network.state_dict()


class Noise(LotteryTicket):
    """Brings pruned weights back after each epoch."""

    def on_train_epoch_end(self, trainer, module):
        module.net.head.weight.data += 0.01


class Signed(LotteryTicket):
    """Masks by ``tensor < EPS``, signed, so negative weights learn nothing."""

    def on_before_optimizer_step(self, trainer, module, optimizer):
        super().on_before_optimizer_step(trainer, module, optimizer)
        for p in module.net.parameters():
            p.grad[p.data < 1e-6] = 0


def one_too_many(scores, masks, keep, keep_top=M.keep_top):
    return keep_top(scores, masks, keep + 1)


@pytest.mark.parametrize(
    ("where", "name", "replacement", "invariant"),
    [
        (M, "keep_top", one_too_many, "exact_count"),
        (M, "rewind_", forget, "start"),
        (M, "rewind_", alias, "init_unchanged"),
        (fit, "LotteryTicket", Noise, "zeros"),
        (fit, "LotteryTicket", Signed, "zeros"),
    ],
    ids=["one weight too many", "trained weights", "shared memory", "weights that come back", "negative weights frozen"],
)
def test_a_sabotaged_round_is_not_finished(monkeypatch, make_config, tmp_path, where, name, replacement, invariant):
    search(make_config(rounds=0), say=lambda line: None)
    monkeypatch.setattr(where, name, replacement)
    with pytest.raises(InvariantError, match=f"'{invariant}' does not hold"):
        search(make_config(rounds=1), say=lambda line: None)
    assert len(list((tmp_path / "outputs" / "rounds").glob("*/round.json"))) == 1
