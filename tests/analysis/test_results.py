import csv
import io

import numpy as np
import pytest

from lth.analysis import barrier, table
from lth.report import chains, figures
from lth.tree import results, settings
from tests.analysis.invent import arm, record

CHAINS = [record(s, k) for s in (0, 1) for k in range(4)]


def test_the_table_has_a_row_a_round_and_prints_percent():
    lines = table.table(CHAINS[:4]).splitlines()
    assert len(lines) == 2 + 4
    assert len({len(line) for line in lines}) == 1
    cells = [cell.strip() for cell in lines[3].strip("|").split("|")]
    assert cells == ["0", "1", "80.00%", "0.510", "96", "0.510", "0.510", "0.510", "0.510", "1.50x", "12.3"]


@pytest.mark.parametrize("width", [60, 80, 110, 1000])
def test_a_table_fits_its_terminal_and_keeps_what_matters(width):
    whole = table.table(CHAINS)
    lines = table.fitting(whole, width).splitlines()
    assert max(map(len, lines)) <= max(width, 80)  # what matters takes 80
    assert len({line.count("|") for line in lines}) == 1
    for title in ("seed", "round", "weights remaining", "test acc at early stop", "stop iteration"):
        assert f" {title} |" in lines[0]
    assert (("\n".join(lines)) == whole) == (width == 1000)


def test_the_summary_has_mean_and_deviation_over_seeds():
    rows = [
        [c.strip() for c in line.strip("|").split("|")]
        for line in table.summary([*CHAINS, record(0, 1, 0.2, 3)]).splitlines()[2:]
    ]
    assert len(rows) == 4 + 1
    assert rows[0][:8] == ["abcdef", "simple_cnn", "all", "dense", "0", "100.00%", "2", "0.510 ± 0.014"]
    assert rows[1][3:7] == ["0.2", "1", "80.00%", "2"]
    assert rows[4][3:8] == ["0.2 x 3", "1", "51.20%", "1", "0.510"]


def lines(figure) -> dict[str, np.ndarray]:
    return {line.get_label(): np.column_stack(line.get_data()) for line in figure.axes[0].get_lines()}


def test_the_figure_shows_the_mean_over_seeds_and_the_dense_network():
    figure = figures.accuracy(CHAINS, "title")
    drawn = lines(figure)
    assert set(drawn) == {"simple_cnn, 20% a round (n = 2 seeds)", "dense network, 51%"}
    expected = [[0.8**k, 0.51 + 0.01 * k] for k in range(4)]
    assert np.allclose(drawn["simple_cnn, 20% a round (n = 2 seeds)"], expected)
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] > axes.get_xlim()[1], "dense at the left"
    assert len(axes.collections) == 1, "a band of one standard deviation"


def test_a_line_for_each_recipe():
    figure = figures.accuracy([*CHAINS, record(0, 1, 0.5), record(0, 1, 0.2, 3), record(0, 1, 0.2, 6)])
    assert {"simple_cnn, 50% a round", "simple_cnn, one shot to rounds of 20%"} < set(lines(figure))
    assert np.allclose(lines(figure)["simple_cnn, one shot to rounds of 20%"][:, 0], [0.8**3, 0.8**6])


def test_a_dense_network_alone_is_drawn():
    assert set(lines(figures.accuracy([record(0, 0)]))) == {"dense network, 50%"}


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_the_confusion_matrix_fits_its_classes(classes):
    names = [f"class {i}" for i in range(classes)]
    axes = figures.confusion(np.diag(np.arange(classes)), names).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == names
    assert len(axes.texts) == (classes**2 if classes <= 20 else 0)


def test_the_gallery_shows_each_image_with_its_title():
    figure = figures.gallery(np.zeros((8, 5, 5, 3), np.uint8), [f"image {i}" for i in range(8)])
    assert [axes.get_title() for axes in figure.axes] == [f"image {i}" for i in range(8)]


def test_other_recipes_are_never_averaged_as_seeds():
    other = [r | {"recipe": "123456789abc", "test_acc": 0.9} for r in CHAINS]
    assert len(table.summary([*CHAINS, *other]).splitlines()) == 2 + 8
    assert len(lines(figures.accuracy([*CHAINS, *other]))) == 4


def test_class_names_are_not_read_as_formulas():
    names = ["$5_$10", "a$_$b"]
    figures.confusion(np.eye(2), names).savefig(io.BytesIO())
    figures.gallery(np.zeros((2, 5, 5, 3), np.uint8), names).savefig(io.BytesIO())


def cells(text: str) -> list[list[str]]:
    return [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()[2:]]


CONTROLLED = [*CHAINS, *(record(s, k, control="reinit", early_stop_test_acc=0.3) for s in (0, 1) for k in (1, 2))]


def test_controls_have_a_column_and_are_never_averaged_with_tickets():
    assert "control" not in table.table(CHAINS) + table.summary(CHAINS)
    rows = cells(table.summary(CONTROLLED))
    assert [(row[4], row[5], row[7], row[8]) for row in rows[1::4]] == [
        ("-", "1", "2", "0.520 ± 0.014"),
        ("reinit", "2", "2", "0.300 ± 0.000"),
    ]
    assert [row[2] for row in cells(table.table(CONTROLLED))] == ["-"] * 8 + ["reinit"] * 4


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({}, "magnitude"),
        ({"criterion": "snip"}, "snip"),
        ({"allocation": "layerwise"}, "magnitude, layerwise"),
        ({"rewind": "2ep"}, "rewind 2ep"),
        ({"retrain": "lr"}, "lr rewinding"),
        ({"criterion": "snip", "retrain": "finetune"}, "snip, fine-tune"),
    ],
)
def test_how_it_was_pruned_has_a_column_where_it_is_not_the_default(fields, method):
    rows = [record(0, 0), record(0, 1), record(0, 1, step="other", **fields)]
    if fields:
        assert [row[2] for row in cells(table.table(rows))] == ["-", "magnitude", method]
        assert len(cells(table.summary(rows))) == 3
    else:
        assert "method" not in table.table(rows)


def test_a_control_is_a_line_of_its_own():
    drawn = lines(figures.accuracy(CONTROLLED))
    assert set(drawn) == {"simple_cnn, 20% a round (n = 2 seeds)", "re-initialised (n = 2 seeds)", "dense network, 51%"}
    assert np.allclose(drawn["re-initialised (n = 2 seeds)"], [[0.8, 0.3], [0.64, 0.3]])
    assert np.allclose(drawn["simple_cnn, 20% a round (n = 2 seeds)"][:, 1], [0.51, 0.52, 0.53, 0.54])


def test_a_point_of_one_seed_has_no_band_and_the_legend_says_so():
    some = [r for r in CHAINS if r["seed"] == 0 or r["round"] != 1]
    line = chains.accuracy(some).lines[0]
    assert line.label == "simple_cnn, 20% a round (n = 1 to 2 seeds)"
    assert [half is None for half in line.band] == [False, True, False, False]
    assert line.notes[1] == "1 seed"
    (band,) = figures.accuracy(some).axes[0].collections
    shapes = [path.vertices[:, 0] for path in band.get_paths()]
    assert not any((x.min() < line.x[1]) & (line.x[1] < x.max()) for x in shapes), "no band across that point"


def test_copies_of_the_dense_network_in_another_order_are_not_averaged_with_it():
    copies = [record(s, 0, control="order", early_stop_test_acc=0.1) for s in (0, 1)]
    assert "dense network, 51%" in lines(figures.accuracy([*CHAINS, *copies]))


def test_controls_of_two_chains_stand_apart():
    other = [r | {"step": "snip", "criterion": "snip"} for r in CONTROLLED if r["round"]]
    drawn = set(lines(figures.accuracy([*CONTROLLED, *other])))
    assert len(drawn) == 5
    assert "simple_cnn, 20% a round, snip, re-initialised (n = 2 seeds)" in drawn


def test_one_shots_that_differ_in_more_than_depth_are_not_one_line():
    shots = [
        record(s, 1, 0.2, n, step=f"{n} {scope}", determined_by={"prune": {"levels": n, "scope": scope}})
        for s in (0, 1) for n in (3, 6) for scope in ("all", "backbone")
    ]  # fmt: skip
    drawn = lines(figures.accuracy(shots))
    assert [len(points) for points in drawn.values()] == [2, 2]


def test_the_compute_matched_dense_network_is_a_second_horizontal():
    chain = [*arm(0, [0.8, 0.82]), *arm(1, [0.81, 0.83]), *arm(2, [0.8, 0.82])]
    longer = [*arm(0, [0.9, 0.92], recipe="30 epochs", epochs=30), *arm(0, [0.7], recipe="5 epochs", epochs=5)]
    drawn = set(lines(figures.accuracy([*chain, *longer])))
    assert {"dense network, 81%", "compute-matched dense network of 30 epochs, 91%", "dense network of 5 epochs, 70%"} < drawn
    assert set(lines(figures.early_stop([*chain, *longer]))) == {
        "simple_cnn, 20% a round (n = 2 seeds)",
        "dense network, 1000",
    }


@pytest.mark.parametrize("draw", [figures.accuracy, figures.early_stop])
def test_the_legend_covers_no_data_and_is_not_cut(draw):
    controls = [record(0, k, control=c) for c in ("reinit", "shuffle", "random", "order", "other") for k in (1, 2)]
    other = [r | {"step": "snip", "criterion": "snip", "rewind": "2ep"} for r in [*CHAINS[:4], *controls] if r["round"]]
    figure = draw([*CHAINS, *controls, *other], "a title_with $signs")
    figure.savefig(io.BytesIO())
    box = figure.legends[0].get_window_extent()
    assert box.y1 <= figure.axes[0].get_window_extent().y0
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_a_barrier_is_a_line_a_round_dense_first():
    curves = [
        {"round": k, "density": 0.8**k, "alphas": [0, 0.5, 1], "errors": [0.1, 0.3 - 0.1 * k, 0.1], "barrier": 0.2 - 0.1 * k}
        for k in (1, 0)
    ]
    figure = barrier.figure(curves, "title")
    drawn = lines(figure)
    assert list(drawn) == [
        "dense network, 100.0% of weights: barrier 20.0 pp",
        "round 1, 80.0% of weights: barrier 10.0 pp",
    ]
    assert np.allclose(drawn["dense network, 100.0% of weights: barrier 20.0 pp"], [[0, 10], [0.5, 30], [1, 10]])
    with pytest.raises(ValueError, match="round 1: 3 alphas, 2 errors"):
        barrier.figure([curves[0] | {"errors": [0.1, 0.2]}])


def test_three_seeds_have_an_interval_and_two_have_none():
    rows = [record(seed, k) for seed in (0, 1, 2) for k in (0, 1)]
    assert "95% interval" not in table.summary(rows[:4])
    lines = table.summary([*rows, record(0, 2)]).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert cells[0][-1] == "95% interval of the mean at early stop"
    assert cells[2][-1] == "0.470 to 0.570", "0.52 ± t(2) 0.02 / sqrt(3), t = 4.303"
    assert cells[4][-1] == "-"


def sweep():
    """One seed of two batch sizes: alike in all but that."""
    kinds = [{"recipe": f"recipe{size}", "settings": {"data.batch_size": size} if size != 64 else {}} for size in (8, 64)]
    return [record(0, k, **kind) for kind in kinds for k in range(3)]


def test_what_a_sweep_varied_is_a_column_and_in_the_legend():
    (header, _, *rows) = (line.split("|") for line in table.table(sweep()).splitlines())
    assert header[3].strip() == "batch_size", "64 is the default, which settings do not hold"
    assert [row[3].strip() for row in rows] == ["8"] * 3 + ["64"] * 3
    assert len({tuple(row) for row in rows}) == 6
    assert "| batch_size |" in table.summary(sweep())
    assert set(lines(figures.accuracy(sweep()))) == {
        "simple_cnn all, batch_size 8, 20% a round",
        "simple_cnn all, batch_size 8, dense network, 50%",
        "simple_cnn all, batch_size 64, 20% a round",
        "simple_cnn all, batch_size 64, dense network, 50%",
    }
    keys, *written = csv.reader(results.to_csv(sweep()).decode().splitlines())
    assert keys[-1] == "data.batch_size"
    assert [row[-1] for row in written] == ["8"] * 3 + ["64"] * 3


def test_what_a_seed_changes_or_nothing_does_is_no_column():
    rows = [r | {"settings": {"seed": r["seed"], "data.batch_size": 8}} for r in CHAINS]
    assert table.table(rows) == table.table(CHAINS)
    assert not settings.varied(rows)


def test_two_rates_and_two_data_sets_are_told_apart():
    rows = [record(0, 1, rate=rate, data=data, recipe=data * 3) for rate in (0.2, 0.5) for data in ("stripes", "dots")]
    for text in (table.table(rows), table.summary(rows)):
        assert len(set(text.splitlines()[2:])) == 4


def test_every_title_names_the_end_point_and_n():
    def at(figure):
        return figure.axes[0].get_title(loc="left").splitlines()[0], figure.axes[0].get_ylabel()

    assert at(figures.accuracy(CHAINS, "t")) == (
        "t: test accuracy at early stop, mean over 2 seeds",
        "test accuracy at early stop",
    )
    other = figures.accuracy(CHAINS[:4], "t", accuracy="test_acc")
    assert at(other) == ("t: test accuracy at the last epoch, 1 seed", "test accuracy at the last epoch")
    assert at(figures.early_stop(CHAINS, "t"))[0] == "t: iteration of early stop, mean over 2 seeds"
    assert table.caption(CHAINS) == "Test accuracy at early stop, mean over 2 seeds."


def test_the_line_is_that_of_the_end_point():
    rows = [r | {"early_stop_test_acc": 0.2, "test_acc": 0.3, "best_test_acc": 0.4} for r in CHAINS]
    for accuracy, value in (("early_stop_test_acc", 0.2), ("test_acc", 0.3), ("best_test_acc", 0.4)):
        points = lines(figures.accuracy(rows, accuracy=accuracy))["simple_cnn, 20% a round (n = 2 seeds)"]
        assert np.allclose(points[:, 1], value)


def test_a_document_says_what_the_running_accuracy_is_and_which_early_stops_were_not_seen():
    text = table.document(CHAINS)
    assert "train acc (running)" in text
    assert text.count(table.RUNNING) == 1
    assert "not seen" not in text
    ended = [r | {"censored": r["round"] == 3} for r in CHAINS]
    assert "2 of 8 rounds stopped at the last iteration" in table.document(ended)
    assert [row[2] for row in cells(table.table(ended))] == ["-", "-", "-", "yes"] * 2
