from dataclasses import replace

import pytest

from lth.analysis.statement import text
from lth.analysis.statistics import mean
from lth.analysis.verdict import MARGIN, Row, differences, sparsest, verdicts
from tests.analysis.invent import arm

DENSE = [0.70, 0.80, 0.90]  # seeds differ far more than tickets do


def only(records, *accuracy):
    (verdict,) = verdicts(records, *accuracy)
    return verdict


@pytest.mark.parametrize(
    ("accuracies", "stops", "expected"),
    [
        ([0.701, 0.801, 0.902], [900, 910, 905], "winning"),
        ([0.697, 0.797, 0.897], [1050, 1050, 1050], "winning"),  # within margin and slack, at no variance
        ([0.690, 0.789, 0.891], [900, 910, 905], "not winning"),  # worse
        ([0.701, 0.801, 0.902], [1100, 1110, 1105], "not winning"),  # later
        ([0.680, 0.801, 0.930], [900, 910, 905], "not shown"),  # scattered
        ([0.701, 0.801, 0.902], [800, 900, 1300], "not shown"),
    ],
)
def test_verdicts(accuracies, stops, expected):
    assert only([*arm(0, DENSE), *arm(1, accuracies, stops)]).verdict == expected


def test_two_seeds_that_differ_by_exactly_as_much_are_no_certainty():
    """Scores go in steps, here of one of 1000 images and of 50 iterations between validations."""
    records = [*arm(0, [0.70, 0.80], [500, 400], iterations=500), *arm(1, [0.70, 0.80], [450, 350], iterations=500)]
    v = only(records)
    assert (v.dense.accuracy.value, v.dense.iterations.value) == pytest.approx((0, -50))
    half = [6.313752 * step / 6**0.5 / 2**0.5 for step in (0.001, 50)]
    assert v.dense.accuracy.bounds == pytest.approx((-half[0], half[0]))
    assert v.dense.iterations.bounds == pytest.approx((-50 - half[1], -50 + half[1]))
    assert v.verdict == "not shown"


def test_numbers_by_hand():
    v = only([*arm(0, DENSE, [1000, 1100, 900]), *arm(1, [0.71, 0.82, 0.93], [900, 900, 900])])
    half = 2.919986 * 0.01 / 3**0.5  # differences 0.01, 0.02, 0.03
    assert (v.dense.accuracy.value, *v.dense.accuracy.bounds) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
    half = 2.919986 * 100 / 3**0.5  # differences -100, -200, 0
    assert (v.dense.iterations.value, *v.dense.iterations.bounds) == pytest.approx((-100, -100 - half, -100 + half))
    assert (v.dense.seeds, v.dense.other_stop, v.allowed) == ([0, 1, 2], 1000, 50)


def test_seeds_are_paired_whatever_their_order():
    ticket = [0.701, 0.801, 0.901]
    v = only([*arm(0, DENSE), *reversed(arm(1, ticket))])
    assert v.verdict == "winning"
    lower = 0.001 - 2.132 * (0.1**2 / 3 + 0.1**2 / 3) ** 0.5
    assert lower < -0.1, "two samples of the same scores, unpaired, show nothing"


def test_the_end_point_is_a_choice():
    records = [*arm(0, DENSE, best_test_acc=0.8, test_acc=0.9), *arm(1, [0.5, 0.6, 0.7], best_test_acc=0.81, test_acc=0.9)]
    assert only(records).verdict == "not winning", "by default at early stop, as in the paper"
    assert "test accuracy at early stop, mean over 3 seeds" in text(records)
    for accuracy, words in (("best_test_acc", "at best validation accuracy"), ("test_acc", "at the last epoch")):
        assert only(records, accuracy).verdict == "winning"
        assert f"test accuracy {words}, mean over 3 seeds" in text(records, accuracy=accuracy)
        assert "at early stop," not in text(records, accuracy=accuracy)
    with pytest.raises(
        ValueError, match="accuracy=val_acc is not accepted; it takes early_stop_test_acc, test_acc, best_test_acc"
    ):
        verdicts(records, accuracy="val_acc")


def test_one_seed_shows_nothing():
    records = [*arm(0, [0.5]), *arm(1, [0.9], [10])]
    v = only(records)
    assert (v.verdict, v.dense.accuracy.bounds, v.p) == ("not shown", None, None)
    assert "test accuracy 90.00% of 1000 images, 87.98% to 91.71% (Wilson, 95%)" in v.note
    assert v.note in text(records)
    assert only([replace(r, images={}) for r in records]).note == "one seed shows nothing"


def test_seeds_without_a_pair_are_left_out_and_named():
    records = [*arm(0, DENSE), *arm(1, [0.701, 0.801, 0.902, 0.1])]
    v = only(records)
    assert (v.dense.seeds, v.dense.dropped, v.verdict) == ([0, 1, 2], [3], "winning")
    assert "- 80.00%: left out against dense network, in one arm alone: seed 3." in text(records).splitlines()


def test_without_a_dense_network_nothing_is_shown():
    v = only(arm(1, DENSE))
    assert (v.dense.seeds, v.verdict, v.dense.accuracy.value) == ([], "not shown", None)
    assert "| 80.00% | dense network | 0 | - | not shown | - |" in " ".join(text(arm(1, DENSE)).split())


def test_controls_are_compared_and_never_mixed_in():
    ticket, worse = [0.75, 0.85, 0.95], [0.70, 0.79, 0.91]
    records = [*arm(0, DENSE), *arm(1, ticket, [900, 910, 905])]
    alone = only(records)
    reinit = arm(1, worse, [1200, 1210, 1190], control="reinit")
    shuffle = arm(1, [0.9, 0.9, 0.9, 0.9], [700, 705, 700, 1], control="shuffle")
    v = only([*reinit, *records, *shuffle])
    assert (v.dense, v.p_corrected, v.verdict) == (alone.dense, alone.p_corrected, alone.verdict)
    first, second = v.controls
    assert (first.control, first.accuracy_verdict, first.iterations_verdict) == ("reinit", "better", "better")
    assert first.accuracy.interval == pytest.approx(mean([0.05, 0.06, 0.04]).interval)
    assert (second.accuracy_verdict, second.iterations_verdict, second.dropped) == ("not shown", "worse", [3])
    assert "re-initialised" in text([*records, *reinit])


def test_a_control_needs_more_than_one_seed():
    v = only([*arm(0, DENSE[:1]), *arm(1, [0.9]), *arm(1, [0.5], control="random")])
    assert (v.controls[0].accuracy_verdict, v.controls[0].accuracy.interval) == ("not shown", None)


LONGER = {"recipe": "longer"}


@pytest.mark.parametrize(
    ("accuracies", "verdict"), [(DENSE, "no worse"), ([0.75, 0.86, 0.96], "worse"), ([0.6, 0.9, 0.9], "not shown")]
)
def test_the_dense_network_of_equal_compute_is_met_in_accuracy_alone(accuracies, verdict):
    tickets = [*arm(0, DENSE), *arm(2, [0.701, 0.801, 0.902])]
    longer = arm(0, accuracies, [1] * 3, epochs=30, **LONGER)
    v = only([*tickets, *longer])
    assert (v.matched.epochs, v.matched_verdict) == (30, verdict)
    assert v.verdict == "winning", "it is no part of the paper's definition"
    row = " ".join(text([*tickets, *longer]).split()).partition("| dense network of equal compute (30 epochs) | 3 |")[2]
    assert row.split("|")[1].strip() == verdict


def test_the_nearest_dense_network_of_enough_epochs_is_taken():
    tickets = [*arm(0, DENSE), *arm(2, DENSE)]  # 3 trainings of 10 epochs
    dense = [
        *arm(0, DENSE, epochs=29, recipe="less"),
        *arm(0, DENSE, epochs=90, recipe="most"),
        *arm(0, DENSE, epochs=40, recipe="more"),
        *arm(0, DENSE, epochs=30, recipe="other", family="other"),
    ]
    assert only([*tickets, *dense]).matched.epochs == 40
    assert only([*tickets, *dense[:3]]).matched is None
    assert only([*arm(0, DENSE), *arm(1, DENSE, levels=6), *arm(0, DENSE, epochs=20, **LONGER)]).matched.epochs == 20


def test_the_sparsest_winning_ticket_of_each_chain():
    win, lose = [0.701, 0.801, 0.902], [0.6, 0.7, 0.8]
    chain = [*arm(0, DENSE), *arm(1, win), *arm(2, win), *arm(3, lose)]
    other = arm(1, lose, step="snip", criterion="snip")
    assert sparsest(verdicts(chain)).density == pytest.approx(0.64)
    words = text([*chain, *other])
    assert "**simple_cnn all, 20% a round: winning ticket at 64.00% of weights (n = 3); " in words
    assert "**simple_cnn all, 20% a round, snip: no winning ticket is shown (n = 3); " in words
    assert "one-sided 95%" in words
    assert "above -0.5 pp" in words
    assert "at most 5%" in words
    assert [v.verdict for v in verdicts(other + arm(0, DENSE))] == ["not winning"]


def test_recipes_are_never_compared_with_each_other():
    other = [r for k in (0, 1) for r in arm(k, [0.1, 0.2, 0.3], recipe="other")]
    judged = verdicts([*arm(0, DENSE), *other, *arm(1, DENSE)])
    assert [(v.dense.accuracy.value, v.verdict) for v in judged] == [(0, "winning")] * 2


def test_without_tickets_there_are_no_verdicts():
    assert verdicts(arm(0, DENSE)) == differences(arm(0, DENSE)) == []
    assert text(arm(0, DENSE)) == "There is no ticket to judge.\n"


def test_differences_have_a_row_for_each_arm_beside_a_ticket():
    tickets = [*arm(1, [0.71, 0.82, 0.93]), *arm(2, [0.7])]
    others = [*arm(1, [0.65, 0.8, 0.92], control="random"), *arm(0, [0.8, 0.9, 0.9], epochs=30, recipe="longer")]
    rows = differences([*arm(0, DENSE), *tickets, *others])
    chain, interval = "simple_cnn all, 20% a round", mean([0.01, 0.02, 0.03]).interval
    first, matched, control, alone, longer = rows
    assert first == Row(chain, 0.8, "dense network", 3, pytest.approx(0.02), pytest.approx(interval), MARGIN)
    assert (matched.other, matched.mean, matched.margin) == ("dense network of equal compute", pytest.approx(-0.14 / 3), MARGIN)
    assert (control.other, control.mean, control.margin) == ("random mask", pytest.approx(0.03), None)
    assert (alone.density, alone.n, alone.mean, alone.interval) == (pytest.approx(0.64), 1, 0, None)
    assert (longer.other, longer.n) == (matched.other, 1)


def test_another_score_has_its_name_and_its_unit():
    """A difference of 0.004 in r2 is no percentage, and the number of test images says nothing of its step."""
    records = [*arm(0, DENSE, score="r2"), *arm(1, [0.704, 0.804, 0.904], [900, 910, 905], score="r2")]
    records += arm(1, [0.6, 0.7, 0.8], control="reinit", score="r2")
    words = text(records)
    assert only(records).verdict == "winning"
    assert "test r2 at early stop is no lower than the dense network's (+0.0040, at least +0.0040)" in words
    assert "better in r2 than re-initialised ones by 0.104 [0.104, 0.104]" in words
    assert "| r2 less it |" in " ".join(words.split())
    assert "accuracy" not in words
    assert " pp" not in words
    (tuned, *_) = text([replace(r, retrain="finetune") if r.round else r for r in records]).splitlines()
    assert "subnetwork that matches in r2 at 80.00%" in tuned
