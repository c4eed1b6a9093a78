"""What figures and sections show of records: chains, arms over seeds, masks, classes, images, the tree."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lth.analysis import ends, verdict
from lth.analysis.pairs import first
from lth.report import choose, details, images, read, scores, sections
from lth.tree.record import Record
from lth.tree.record import read as read_rounds
from tests.report.invent_rounds import list_of_images, outputs, predictions, rewrite


def records_of(root: Path, **filters) -> list[Record]:
    return read_rounds(root, filters).records


def chain_of(records: list[Record]) -> choose.Chain:
    return choose.chains(records)[0]


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[Record]:
    """Of three seeds, five rounds and a control each, with their files."""
    return records_of(outputs(tmp_path_factory.mktemp("outputs"), seeds=3))


def test_a_line_is_a_chain_or_a_control_and_its_points_are_means_over_seeds(records):
    plot = scores.by_weights(records, "stripes", ends.EARLY_STOP)
    tickets, control, dense = plot.lines
    assert plot.title == "stripes: test accuracy at early stop, mean over 3 seeds"
    assert (tickets.label, control.label) == ("lenet all, 20% a round (n = 3 seeds)", "re-initialised (n = 3 seeds)")
    assert np.allclose(tickets.x, [0.8**k for k in range(5)])
    assert np.allclose(tickets.y, [0.69 + 0.02 * k for k in range(5)])
    assert np.allclose(tickets.spread, 0.01)
    assert (dense.label, dense.y[0]) == ("dense network, 69%", pytest.approx(0.69))
    stop = scores.by_weights(records, "stripes", "early_stop_iteration")
    assert (stop.from_zero, stop.lines[0].y[0]) == (True, 101)


def test_a_point_of_one_seed_has_no_spread_and_the_label_says_so(records):
    some = [r for r in records if r.seed == 0 or r.round != 1]
    line = scores.by_weights(some, "", ends.EARLY_STOP).lines[0]
    assert line.label == "lenet all, 20% a round (n = 1 to 3 seeds)"
    assert [half is None for half in line.spread] == [False, True, False, False, False]
    assert line.notes[1] == "1 seed"


def test_recipes_and_ways_of_pruning_are_never_averaged(tmp_path):
    outputs(tmp_path, seeds=1, rounds=1, files=False)
    other = {"epochs": 40, "settings": {"optim.lr": 0.002, "epochs": 40}}
    outputs(tmp_path, seeds=1, rounds=1, files=False, recipe="123456abcdef", **other)
    outputs(tmp_path, seeds=1, rounds=1, files=False, recipe="777777abcdef", model="conv2", criterion="snip")
    records = records_of(tmp_path)
    names = [row[0] for row in sections.results(records, ends.EARLY_STOP)[1]]
    assert len(set(names)) == len(names) == 9
    assert {
        "lenet all, epochs 4, dense",
        "lenet all, epochs 40, 20% a round, re-initialised",
        "conv2 all, 20% a round, snip",
    } < set(names)
    lines = scores.by_weights(records, "", ends.EARLY_STOP).lines
    assert len({(line.colour, line.dash, line.label) for line in lines}) == len(lines) == 9
    tree = sections.rounds(records, ends.EARLY_STOP).inside
    assert "dense network, lenet all, epochs 40, dense, seed 0 (" in tree
    assert "round 1, 80%, conv2 all, 20% a round, snip, seed 0 (" in tree
    assert "└ round 1, 80%, re-initialised (" in tree, "how a chain is pruned is said once"


def test_a_dense_network_of_the_epochs_of_a_chain_is_a_line_of_its_own(records):
    longer = [replace(r, recipe="other", epochs=20) for r in records if not r.round]
    labels = [line.label for line in scores.by_weights([*records, *longer], "", ends.EARLY_STOP).lines]
    assert labels[-2:] == ["dense network, 69%", "compute-matched dense network of 20 epochs, 69%"]
    assert len(scores.by_weights([*records, *longer], "", "early_stop_iteration").lines) == 3


def test_differences_are_paired_by_seed_with_95_percent_intervals(records):
    shifted = [replace(r, early_stop_test_acc=r.early_stop_test_acc + 0.01 * r.seed) if r.round == 1 else r for r in records]
    plot = scores.differences(shifted, chain_of(shifted), ends.EARLY_STOP)
    dense, control, zero, margin = plot.lines
    assert plot.names == ["80%", "64%", "51.2%", "41%", ""]
    assert dense.x == pytest.approx([3, 4, 6, 8])
    assert dense.spread[0] == pytest.approx(1 / 3**0.5 * 4.302653, rel=1e-6), "Student's t with 2 degrees of freedom"
    assert (control.label, control.x, control.y) == ("less re-initialised", pytest.approx([0]), [4])
    assert (zero.x, margin.x) == ([0, 0], [-0.5, -0.5])
    assert "mean over 3 seeds" in plot.title


def test_costs_have_bars_and_a_front_of_more_than_one_point(records):
    plot = scores.by_cost(choose.chains(records), "stripes", ends.EARLY_STOP, scores.file_bytes, "kB", 1e3)
    assert [line.label for line in plot.lines] == ["lenet all, 20% a round"], "the sparsest is the best: no front"
    assert (plot.lines[0].spread_as, plot.lines[0].spread[0]) == ("y", pytest.approx(0.01))
    assert scores.front([(1, 0.5), (2, 0.4), (3, 0.7), (3, 0.6), (4, 0.7), (5, 0.8)]) == [(1, 0.5), (3, 0.7), (5, 0.8)]
    ticket = next(r for r in records if r.round == 1)
    sizes = {"model_density": 0.5, "parameters": 1000, "layer_weights": {"a": 17, "b": 900}}
    assert scores.file_bytes(replace(ticket, **sizes)) == 3 + 113 + 4 * 500
    assert scores.file_bytes(replace(ticket, **sizes, round=0)) == 4 * 500


def test_the_ticket_in_detail_is_the_winner_or_not_called_so(records):
    (dense, ticket), name = chain_of(records).ends(verdict.verdicts(records))
    assert (first(dense).round, first(ticket).round, name) == (0, 4, "sparsest winning ticket")
    one = [r for r in records if r.seed == 0]
    (_, ticket), name = chain_of(one).ends(verdict.verdicts(one))
    assert (first(ticket).round, name) == (4, "sparsest ticket (none is shown to win)")


def test_at_most_seven_chains_are_drawn_with_all_that_belongs_to_them(tmp_path):
    for i in range(9):
        outputs(tmp_path, seeds=2, rounds=2, files=False, recipe=f"recipe{i}", family=f"family{i}", model=f"model{i}")
    records = records_of(tmp_path)
    assert len(choose.drawn(records, choose.chains(records)[:7])) == 7 * 2 * 4


def test_learning_curves_are_means_over_seeds_with_training_beside_validation(records):
    part = details.curves(chain_of(records), read_rounds(Path()))
    train, loss, accuracy = part.figures.values()
    assert [plot.y for plot in (train, loss, accuracy)] == ["training loss, nats", "validation loss, nats", "validation accuracy"]
    assert [line.label for line in loss.lines if line.shown] == [
        "dense network",
        "round 1, 80%",
        "round 3, 51.2%",
        "round 4, 41%",
    ]
    assert len({line.colour for line in loss.lines}) == 5
    assert loss.lines[0].x == [25, 50, 75, 100]
    assert loss.lines[0].y == pytest.approx([1.1 / e for e in (1, 2, 3, 4)])
    assert loss.lines[0].spread == [0, 0, 0, 0]


def test_the_jaccard_index_is_that_of_the_masks(records):
    one, other = np.random.default_rng(0).random((2, 1003)) < 0.3
    packed = [{"w": np.packbits(mask)} for mask in (one, other)]
    assert details.jaccard(*packed) == (one & other).sum() / (one | other).sum()
    assert details.jaccard(packed[0], packed[0]) == 1
    assert np.isnan(details.jaccard(packed[0], {"w": np.packbits(one[:90])}))
    assert details.by_chance(replace(records[0], layers={"w": 0.3}, layer_weights={"w": 1003})) == pytest.approx(0.3 / 1.7)


@pytest.mark.parametrize("masks", [{"w": np.zeros(3, np.uint8)}, {"fc1.weight": np.zeros(40, np.float32)}])
def test_masks_that_do_not_fit_are_left_out_of_overlaps(tmp_path, masks):
    root = outputs(tmp_path, seeds=3, rounds=1, files=True)
    path = next(root.glob("rounds/*-seed2-round01-*1")) / "ticket.safetensors"
    save_file(masks, path)
    facts = json.loads(path.with_name("round.json").read_text())
    rewrite(path.with_name("round.json"), facts | {"files": {}})
    lines = details.overlap(chain_of(records_of(root)), read_rounds(Path())).figures["overlap_seeds"].lines
    assert lines[0].notes == ["1 pair"]


def test_the_histogram_is_of_remaining_weights_before_and_after(records):
    ticket = next(r for r in records if r.round == 1)
    before, after = read.weights(ticket)
    assert len(before) == sum(int(np.bitwise_count(b).sum()) for b in read.masks(ticket).values()) < 368
    assert np.allclose(after, 2 * before)


def test_accuracies_of_classes_are_means_over_seeds(records):
    changed = [replace(r, test_confusion=np.diag([10 + 10 * r.seed, 1, 1]).tolist()) for r in records]
    changed = [replace(r, test_confusion=(np.array(r.test_confusion) + [[10, 0, 0]] * 1).tolist()) for r in changed]
    both, name = chain_of(changed).ends(verdict.verdicts(changed))
    figures = details.classes(chain_of(changed), both, name, read_rounds(Path())).figures
    assert figures["confusion_dense"].title == "dense network, at the last epoch, mean over 3 seeds"
    assert figures["classes"].lines[0].y == pytest.approx([1.0, 1 / 11, 1 / 11])
    assert np.allclose(figures["confusion_difference"].z, 0)


def test_of_many_classes_those_that_differ_most_are_shown(tmp_path):
    names = [f"class {i}" for i in range(90)]
    root = outputs(tmp_path, seeds=1, rounds=1, classes=names, files=False)
    path = next(root.glob("rounds/*-round01-*1/round.json"))
    facts = json.loads(path.read_text())
    facts["test_confusion"][77] = [1] * 77 + [0] + [1] * 12
    rewrite(path, facts)
    chain = chain_of(records_of(root))
    part = details.classes(chain, chain.arms, "", read_rounds(Path()))
    assert "Of 90 classes the 40 whose accuracies differ most." in part.text
    heat, lines = part.figures["confusion_dense"], part.figures["classes"]
    assert heat.z.shape == (40, 40)
    row = heat.rows.index("class 77")
    assert lines.lines[1].y[row] == 0
    assert heat.z[row, row] == pytest.approx(100 * 98 / (98 + 89)), "a share of all images of the class"


def part_of_images(root: Path) -> tuple[details.Part, list]:
    found = read_rounds(root)
    chain = chain_of(found.records)
    return images.part([chain.arms[0], chain.arms[-1]], found), found.skipped


@pytest.mark.parametrize("pictures", [True, False])
def test_images_that_the_ticket_loses_and_gains_are_summed_over_seeds(tmp_path, pictures):
    part, _ = part_of_images(predictions(outputs(tmp_path, seeds=2, rounds=1), pictures))
    assert "summed over 2 seeds: of 12 test images" in part.text
    assert "loses 2, which" in part.text
    assert "gains 2, which" in part.text
    assert "0.png: across; dense network: across; ticket: down" in part.inside
    assert part.inside.count("data:image/png") == 2 * pictures


@pytest.mark.parametrize("broken", ["labels", "paths", "list"])
def test_lists_of_images_that_do_not_fit_are_named(tmp_path, broken):
    root = predictions(outputs(tmp_path, seeds=1, rounds=1))
    [path] = (root / "tests").iterdir()
    path.write_text("{" if broken == "list" else json.dumps(json.loads(path.read_text()) | {broken: [0]}))
    part, skipped = part_of_images(root)
    assert "cannot be shown" in part.text
    assert "predictions" in skipped[0][1]


def test_no_image_is_read_from_outside_the_data(tmp_path):
    root = predictions(outputs(tmp_path, seeds=1, rounds=1))
    Image.new("RGB", (8, 8)).save(root / "secret.png")
    list_of_images(root, ["../secret.png"] * 6)
    part, _ = part_of_images(root)
    assert "secret.png" in part.inside
    assert "data:image" not in part.inside


def test_the_tree_shows_each_round_once_and_counts_what_sharing_saves(records):
    def node(key: str, parent: str | None, seconds: float, control: str | None = None) -> Record:
        return replace(records[0], key=key, name=key, parent=parent, seconds=seconds, control=control)

    chain = [node("a", None, 100), node("b", "a", 10), node("c", "b", 1)]
    controls = [
        node("order", "a", 1, "order"),
        node("b1", "b", 1, "reinit"),
        node("b2", "b", 1, "shuffle"),
        node("c1", "c", 1, "reinit"),
    ]
    nodes = sections.tree([*chain, *controls, node("x", "gone", 1)])
    assert [(r.key, depth) for r, depth in nodes] == [
        ("a", 0), ("order", 1), ("b", 0), ("b1", 1), ("b2", 1), ("c", 0), ("c1", 1), ("x", 0),
    ]  # fmt: skip
    assert sections.seconds([r for r, _ in nodes[:-1]]) == (115, 111 + 1 + 2 * 101 + 111), (
        "a control needs no training of its ticket"
    )
    deep = [node("0", None, 1), *(node(str(i), str(i - 1), 1) for i in range(1, 3000))]
    assert len(sections.tree(deep)) == 3000
    assert [depth for _, depth in sections.tree([chain[0], node("d", "a", 1), node("e", "a", 1)])] == [0, 1, 1]


def test_durations_are_for_people():
    assert [sections.clock(s) for s in (3.2, 99, 720, 12000)] == ["3 s", "99 s", "12 min", "3 h 20 min"]
