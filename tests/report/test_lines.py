"""Which lines are drawn of records: a chain, a control, a dense network each."""

import io
from dataclasses import replace

import numpy as np
import pytest

from lth.analysis.ends import EARLY_STOP
from lth.report import draw, scores
from lth.report.plot import Line
from tests.analysis.invent import arm, record

CHAINS = [record(s, k) for s in (0, 1) for k in range(4)]
CONTROLLED = [*CHAINS, *(record(s, k, control="reinit", early_stop_test_acc=0.3) for s in (0, 1) for k in (1, 2))]


def lines(records: list, field: str = EARLY_STOP) -> dict[str, Line]:
    return {line.label: line for line in scores.by_weights(records, "title", field).lines}


def test_a_line_for_each_chain_and_one_for_one_shots_that_differ_in_depth():
    drawn = lines([*CHAINS, record(0, 1, 0.5), record(0, 1, 0.2, 3), record(0, 1, 0.2, 6)])
    assert np.allclose(drawn["simple_cnn all, one shot to rounds of 20%"].x, [0.8**3, 0.8**6])
    assert "simple_cnn all, 50% a round" in drawn
    prunes = [(n, scope) for n in (3, 6) for scope in ("all", "backbone")]
    steps = [(n, {"step": f"{n} {scope}", "determined_by": {"prune": {"levels": n, "scope": scope}}}) for n, scope in prunes]
    shots = [record(s, 1, 0.2, n, **facts) for s in (0, 1) for n, facts in steps]
    assert [len(line.x) for line in lines(shots).values()] == [2, 2]


def test_a_control_is_a_line_of_its_own_in_each_chain():
    drawn = lines(CONTROLLED)
    assert set(drawn) == {"simple_cnn all, 20% a round (n = 2 seeds)", "re-initialised (n = 2 seeds)", "dense network, 51%"}
    assert np.allclose(drawn["re-initialised (n = 2 seeds)"].x, [0.8, 0.64])
    assert np.allclose(drawn["re-initialised (n = 2 seeds)"].y, 0.3)
    other = [replace(r, step="snip", criterion="snip") for r in CONTROLLED if r.round]
    assert len(lines([*CONTROLLED, *other])) == 5
    assert "simple_cnn all, 20% a round, snip, re-initialised (n = 2 seeds)" in lines([*CONTROLLED, *other])


def test_copies_in_another_data_order_are_not_averaged_with_the_dense_network():
    copies = [record(s, k, control="order", early_stop_test_acc=0.1) for s in (0, 1) for k in (0, 1)]
    drawn = lines([*CHAINS, *copies])
    assert drawn["dense network, 51%"].y[0] == pytest.approx(0.51)
    assert drawn["other data order (n = 2 seeds)"].x == [1, 0.8]


def test_the_compute_matched_dense_network_is_a_second_horizontal():
    chain = [*arm(0, [0.8, 0.82]), *arm(1, [0.81, 0.83]), *arm(2, [0.8, 0.82])]
    longer = [*arm(0, [0.9, 0.92], recipe="30 epochs", epochs=30), *arm(0, [0.7], recipe="5 epochs", epochs=5)]
    dense = {"dense network, 81%", "compute-matched dense network of 30 epochs, 91%", "dense network of 5 epochs, 70%"}
    assert dense < set(lines([*chain, *longer]))
    stops = lines([*chain, *longer], "early_stop_iteration")
    assert set(stops) == {"simple_cnn all, 20% a round (n = 2 seeds)", "dense network, 1000"}


def test_what_a_sweep_varied_is_in_the_legend():
    kinds = [{"recipe": f"recipe{size}", "settings": {"data.batch_size": size} if size != 64 else {}} for size in (8, 64)]
    assert set(lines([record(0, k, **kind) for kind in kinds for k in range(3)])) == {
        "simple_cnn all, batch_size 8, 20% a round",
        "simple_cnn all, batch_size 8, dense, 50%",
        "simple_cnn all, batch_size 64, 20% a round",
        "simple_cnn all, batch_size 64, dense, 50%",
    }


@pytest.mark.parametrize("field", [EARLY_STOP, "early_stop_iteration"])
def test_the_legend_covers_no_data_and_is_not_cut(field):
    controls = [record(0, k, control=c) for c in ("reinit", "shuffle", "random", "order", "other") for k in (1, 2)]
    other = [replace(r, step="snip", criterion="snip", rewind="2ep") for r in [*CHAINS[:4], *controls] if r.round]
    figure = draw.draw(scores.by_weights([*CHAINS, *controls, *other], "a title_with $signs", field))
    figure.savefig(io.BytesIO())
    box = figure.legends[0].get_window_extent()
    assert box.y1 <= figure.axes[0].get_window_extent().y0
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


def test_the_barrier_is_a_line_a_round_dense_first():
    copies = [
        record(0, k, control="order", line={"alphas": [0, 0.5, 1], "errors": [0.1, 0.3 - 0.1 * k, 0.1]}, barrier=0.2 - 0.1 * k)
        for k in (1, 0)
    ]  # fmt: skip
    plot = scores.figures([*CHAINS, *copies], "title")["barrier"]
    labels = ["dense network, 100.0% of weights: barrier 20.0 pp", "round 1, 80.0% of weights: barrier 10.0 pp"]
    assert [line.label for line in plot.lines] == labels
    assert plot.lines[0].y == pytest.approx([0.1, 0.3, 0.1])
    assert plot.title == "title: test error between copies, at the last epoch, 1 seed"


def test_the_line_and_its_title_are_of_the_end_point():
    rows = [replace(r, early_stop_test_acc=0.2, test_acc=0.3, best_test_acc=0.4) for r in CHAINS]
    for field, value in (("early_stop_test_acc", 0.2), ("test_acc", 0.3), ("best_test_acc", 0.4)):
        assert lines(rows, field)["simple_cnn all, 20% a round (n = 2 seeds)"].y == pytest.approx([value] * 4)
    plot = scores.by_weights([replace(r, score="r2") for r in CHAINS[:4]], "t", "test_acc")
    assert (plot.title, plot.y, plot.y_form) == ("t: test r2 at the last epoch, 1 seed", "test r2 at the last epoch", "number")
