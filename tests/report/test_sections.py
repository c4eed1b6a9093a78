"""What figures and sections show of records: chains over seeds, masks, classes, images, the tree."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lth.analysis import verdict
from lth.analysis.ends import EARLY_STOP
from lth.analysis.pairs import arms, first
from lth.report import details, scores, sections
from lth.report.plot import Axis, Line
from lth.tree.record import Found, Record
from lth.tree.record import read as read_rounds
from tests.report.invent_rounds import list_of_images, outputs, predictions

CHAIN = "lenet all, 20% a round"


def records_of(root: Path) -> list[Record]:
    return read_rounds(root).records


def arms_of(records: list[Record]) -> list[dict[int, Record]]:
    """The dense network and the tickets of a chain."""
    return sorted(arms(r for r in records if not r.control).values(), key=lambda arm: first(arm).round)


def lines(records: list[Record], field: str = EARLY_STOP) -> dict[str, Line]:
    return {line.label: line for line in scores.by_weights(records, "title", field).lines}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[Record]:
    """Of three seeds, five rounds and a control each, with their files."""
    return records_of(outputs(tmp_path_factory.mktemp("outputs"), seeds=3))


def test_a_line_is_a_chain_or_a_control_and_its_points_are_means_over_seeds(records):
    plot = scores.by_weights(records, "stripes", EARLY_STOP)
    tickets, control, dense = plot.lines
    assert plot.title == "stripes: test accuracy at early stop, mean over 3 seeds"
    assert (tickets.label, control.label) == (f"{CHAIN} (n = 3)", f"{CHAIN}, re-initialised (n = 3)")
    assert np.allclose(tickets.x, [0.8**k for k in range(5)])
    assert np.allclose(tickets.y, [0.69 + 0.02 * k for k in range(5)])
    assert np.allclose(tickets.spread, 0.01)
    assert (dense.label, dense.y[0]) == ("lenet all, dense, 69%", pytest.approx(0.69))
    assert lines(records, "early_stop_iteration")[f"{CHAIN} (n = 3)"].y[0] == 101
    some = [r for r in records if r.seed == 0 or r.round != 1]
    assert [np.isnan(half) for half in lines(some)[f"{CHAIN} (n = 1 to 3)"].spread] == [False, True, False, False, False]
    assert scores.by_weights([replace(r, score="r2") for r in records], "t", "test_acc").y == Axis("test r2 at the last epoch")
    shots = [replace(r, round=1, levels=r.round + 1, step=f"shot {r.round}") for r in records if r.round and not r.control]
    shot = lines(shots)["lenet all, one shot to rounds of 20% (n = 3)"]
    assert np.allclose(shot.x, [0.8**k for k in (1, 2, 3, 4)]), "one shots that differ in depth alone are one line"


def test_copies_in_another_data_order_are_not_averaged_with_the_dense_network(records):
    line = {"alphas": [0, 0.5, 1], "errors": [0.1, 0.3, 0.1]}
    copies = [
        replace(r, key=f"{r.key}o", control="order", line=line, barrier=0.2, early_stop_test_acc=0.1)
        for r in records
        if r.round < 2
    ]
    drawn = lines([*records, *copies])
    assert drawn["lenet all, dense, 69%"].y[0] == pytest.approx(0.69)
    assert np.allclose(drawn[f"{CHAIN}, other data order (n = 3)"].x, [1, 0.8])
    plot = scores.figures([*records, *copies], "title")["barrier"]
    labels = [
        "dense network, other data order: barrier 20.0 pp (n = 3)",
        "round 1, 80%, other data order: barrier 20.0 pp (n = 3)",
    ]
    assert [line.label for line in plot.lines] == labels
    assert plot.lines[0].y == pytest.approx([0.1, 0.3, 0.1])


def test_recipes_and_ways_of_pruning_are_never_averaged(tmp_path):
    outputs(tmp_path, seeds=1, rounds=1, files=False)
    other = {"epochs": 40, "settings": {"optim.lr": 0.002, "epochs": 40}}
    outputs(tmp_path, seeds=1, rounds=1, files=False, recipe="123456abcdef", **other)
    outputs(tmp_path, seeds=1, rounds=1, files=False, recipe="777777abcdef", model="conv2", criterion="snip")
    records = records_of(tmp_path)
    names = list(sections.results(records, EARLY_STOP)["implementation"])
    assert len(set(names)) == len(names) == 9
    assert {"lenet all, epochs 4, dense", "lenet all, epochs 40, 20% a round, re-initialised"} < set(names)
    assert "conv2 all, 20% a round, snip" in names
    drawn = lines(records).values()
    assert len({(line.colour, line.dash, line.label) for line in drawn}) == len(drawn) == 9
    tree = sections.rounds(records, EARLY_STOP).inside
    assert "dense network, lenet all, epochs 40, dense, seed 0 (" in tree
    assert "round 1, 80%, conv2 all, 20% a round, snip, seed 0 (" in tree
    assert "└ round 1, 80%, re-initialised (" in tree, "how a chain is pruned is said once"


def test_differences_are_paired_by_seed_with_95_percent_intervals(records):
    shifted = [replace(r, early_stop_test_acc=r.early_stop_test_acc + 0.01 * r.seed) if r.round == 1 else r for r in records]
    plot = scores.differences(verdict.verdicts(shifted), CHAIN)
    dense, control, zero, margin = plot.lines
    assert plot.x.names == ["80%", "64%", "51.2%", "41%"]
    assert dense.y == pytest.approx([3, 4, 6, 8])
    assert dense.spread[0] == pytest.approx(1 / 3**0.5 * 4.302653, rel=1e-6), "Student's t with 2 degrees of freedom"
    assert (control.label, control.y, control.notes) == ("less re-initialised", pytest.approx([0]), ["41% of weights, n = 3"])
    assert (zero.y, margin.y) == ([0, 0], [-0.5, -0.5])


def test_costs_have_bars_and_a_front_of_more_than_one_point(records):
    axis = Axis("bytes", "log")
    plot = scores.by_cost(records, "stripes", EARLY_STOP, scores.file_bytes, axis)
    assert [line.label for line in plot.lines] == [f"{CHAIN} (n = 3)"], "the sparsest is the best: no front"
    assert plot.lines[0].spread[0] == pytest.approx(0.01)
    worse = [replace(r, early_stop_test_acc=0.5 - 0.1 * (r.round in (2, 4))) for r in records]
    best = [replace(r, early_stop_test_acc=0.9) if not r.round else r for r in worse]
    front = scores.by_cost(best, "stripes", EARLY_STOP, lambda record: 100 - 10 * record.round, axis).lines[-1]
    assert (front.label, front.x, front.y) == ("Pareto front", [60, 70, 100], pytest.approx([0.4, 0.5, 0.9]))
    ticket = next(r for r in records if r.round == 1)
    sizes = {"model_density": 0.5, "parameters": 1000, "layer_weights": {"a": 17, "b": 900}}
    assert scores.file_bytes(replace(ticket, **sizes)) == 3 + 113 + 4 * 500
    assert scores.file_bytes(replace(ticket, **sizes, round=0)) == 4 * 500


def test_the_ticket_in_detail_is_the_winner_or_not_called_so(records):
    for some, words in (
        (records, "the sparsest that is shown to be winning."),
        (records[:6], "the sparsest; none is shown to win."),
    ):
        parts = {part.title: part for part in sections.of_data("stripes", some, Found(), EARLY_STOP)}
        assert parts["Classes"].text.endswith(f"The ticket is {words}")


def test_at_most_seven_chains_are_drawn_with_all_that_belongs_to_them(tmp_path):
    for i in range(9):
        outputs(tmp_path, seeds=2, rounds=2, files=False, recipe=f"recipe{i}", family=f"family{i}", model=f"model{i}")
    records = records_of(tmp_path)
    longer = [
        replace(r, key=f"{r.key}l", recipe=f"{r.recipe}l", epochs=20) for r in records if r.family == "family1" and not r.round
    ]
    drawn = sections.drawn([*records, *longer])
    assert len(drawn) == 7 * 2 * 4 + 2
    assert all(record in drawn for record in longer), "dense networks of the same family that trained longer"
    parts = sections.of_data("stripes", records, Found(), EARLY_STOP)
    assert parts[0].text.endswith("Of 72 rounds 56 are drawn.")


def test_learning_curves_are_means_over_seeds_with_training_beside_validation(records):
    train, loss, accuracy = details.curves(CHAIN, arms_of(records), Found()).figures.values()
    assert [plot.y.title for plot in (train, loss, accuracy)] == [
        "training loss, nats",
        "validation loss, nats",
        "validation accuracy",
    ]
    names = ["dense network", "round 1, 80%", "round 2, 64%", "round 3, 51.2%", "round 4, 41%"]
    assert [line.label for line in loss.lines] == [f"{name} (n = 3)" for name in names]
    assert len({line.colour for line in loss.lines}) == 5
    assert loss.lines[0].x == [25, 50, 75, 100]
    assert loss.lines[0].y == pytest.approx([1.1 / e for e in (1, 2, 3, 4)])
    assert loss.lines[0].spread == [0, 0, 0, 0]


def test_the_overlap_is_the_jaccard_index_beside_that_of_chance(records):
    pairs, chance = details.overlap(CHAIN, arms_of(records), Found()).figures["overlap"].lines
    masks = []
    for record in arms_of(records)[1].values():
        start = details.load_file(record.folder / "start.safetensors")
        masks.append(np.concatenate([(np.abs(v) >= np.quantile(np.abs(v), 0.2)).ravel() for v in start.values()]))
    shares = [(one & other).sum() / (one | other).sum() for one, other in zip(masks, [*masks[1:], masks[0]])]
    assert (pairs.label, pairs.y[0]) == ("pairs of seeds (n = 3)", pytest.approx(np.mean(shares)))
    assert chance.y == pytest.approx([d / (2 - d) for d in (0.8, 0.64, 0.512, 0.4096)])


def test_the_histogram_is_of_remaining_weights_before_and_after(records):
    dense, *_, ticket = arms_of(records)
    plot = details.histogram(CHAIN, [dense, ticket], Found()).figures["weights"]
    assert [line.label for line in plot.lines] == [
        f"{name}, {when}" for name in ("dense network", "round 4, 41%") for when in ("before training", "after training")
    ]
    before, after = plot.lines[2:]
    assert np.sum(before.y * np.diff(before.x)[0]) == pytest.approx(1)
    assert np.allclose(2 * before.x, after.x)
    assert np.interp(0, before.x, before.y) == 0, "small weights are pruned"


def test_accuracies_of_classes_are_means_over_seeds(records):
    changed = [replace(r, test_confusion=[[20 + 10 * r.seed, 0, 0], [10, 1, 0], [10, 0, 1]]) for r in records]
    dense, *_, ticket = arms_of(changed)
    figures = details.classes(CHAIN, [dense, ticket], "").figures
    assert figures["confusion_dense"].title == "dense network, mean over 3 seeds"
    assert figures["classes"].lines[0].y == pytest.approx([1.0, 1 / 11, 1 / 11])
    assert np.allclose(figures["confusion_ticket"].z[1], [100 * 10 / 11, 100 / 11, 0])


def test_of_many_classes_those_that_differ_most_are_shown(records):
    names, matrix = [f"class {i}" for i in range(90)], np.ones((90, 90), int) + 20 * np.eye(90, dtype=int)
    dense, ticket = ({0: replace(arm[0], classes=names, test_confusion=matrix.tolist())} for arm in arms_of(records)[:2])
    ticket[0].test_confusion[77] = [1] * 77 + [0] + [1] * 12
    part = details.classes(CHAIN, [dense, ticket], "")
    assert "Of 90 classes the 40 whose accuracies differ most." in part.text
    heat, plot = part.figures["confusion_dense"], part.figures["classes"]
    row = heat.y.names.index("class 77")
    assert (heat.z.shape, plot.lines[1].y[row]) == ((40, 40), 0)
    assert heat.z[row, row] == pytest.approx(100 * 21 / 110), "a share of all images of the class"


def images_of(root: Path) -> tuple[details.Part, list]:
    found = read_rounds(root)
    some = arms_of(found.records)
    return details.images([some[0], some[-1]], found), found.skipped


@pytest.mark.parametrize("pictures", [True, False])
def test_images_that_the_ticket_loses_and_gains_are_summed_over_seeds(tmp_path, pictures):
    part, _ = images_of(predictions(outputs(tmp_path, seeds=2, rounds=1), pictures))
    assert "summed over seeds: of 12 test images" in part.text
    assert "loses 2, which" in part.text
    assert "gains 2, which" in part.text
    assert "0.png: across; dense network: across; ticket: down" in part.inside
    assert part.inside.count("data:image/png") == 2 * pictures


@pytest.mark.parametrize("broken", ["labels", "paths", "list"])
def test_lists_of_images_that_do_not_fit_are_named(tmp_path, broken):
    root = predictions(outputs(tmp_path, seeds=1, rounds=1))
    [path] = (root / "tests").iterdir()
    path.write_text("{" if broken == "list" else json.dumps(json.loads(path.read_text()) | {broken: [0]}))
    part, skipped = images_of(root)
    assert part.inside == ""
    assert "the list of test images" in skipped[0][1]


def test_no_image_is_read_from_outside_the_data(tmp_path):
    root = predictions(outputs(tmp_path, seeds=1, rounds=1))
    Image.new("RGB", (8, 8)).save(root / "secret.png")
    list_of_images(root, ["../secret.png"] * 6)
    part, _ = images_of(root)
    assert "secret.png" in part.inside
    assert "data:image" not in part.inside


def test_the_tree_shows_each_round_once_and_counts_what_sharing_saves(records):
    def node(key: str, parent: str | None, seconds: float, control: str | None = None) -> Record:
        return replace(records[0], key=key, name=key, parent=parent, seconds=seconds, control=control)

    chain = [node("a", None, 100), node("b", "a", 10), node("c", "b", 1)]
    controls = [node("order", "a", 1, "order"), node("b1", "b", 1, "reinit"), node("c1", "c", 1, "reinit")]
    assert [(r.key, depth, seconds) for r, depth, seconds in sections.tree([*chain, *controls, node("x", "gone", 1)])] == [
        ("a", 0, 0), ("order", 1, 1), ("b", 0, 0), ("b1", 1, 101), ("c", 0, 111), ("c1", 1, 111), ("x", 0, 1),
    ]  # fmt: skip
    assert [depth for _, depth, _ in sections.tree([chain[0], node("d", "a", 1), node("e", "a", 1)])] == [0, 1, 1]
    assert [sections.clock(s) for s in (3.2, 720, 12000)] == ["0:00:03", "0:12:00", "3:20:00"]
