import json
from dataclasses import asdict

import pytest

from lth.analysis.statement import text
from lth.analysis.statistics import mean_interval
from lth.analysis.verdict import sparsest, verdicts
from tests.analysis.invent import arm, record

DENSE = [0.70, 0.80, 0.90]  # seeds differ far more than tickets do


def only(records, **options):
    (verdict,) = verdicts(records, **options)
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
    assert (v.accuracy.mean, v.iterations.mean) == pytest.approx((0, -50))
    half = [6.313752 * step / 6**0.5 / 2**0.5 for step in (0.001, 50)]
    assert v.accuracy.bounds == pytest.approx((-half[0], half[0]))
    assert v.iterations.bounds == pytest.approx((-50 - half[1], -50 + half[1]))
    assert v.verdict == "not shown"


def test_numbers_by_hand():
    v = only([*arm(0, DENSE, [1000, 1100, 900]), *arm(1, [0.71, 0.82, 0.93], [900, 900, 900])])
    half = 2.919986 * 0.01 / 3**0.5  # differences 0.01, 0.02, 0.03
    assert (v.accuracy.mean, v.accuracy.lower, v.accuracy.upper) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
    half = 2.919986 * 100 / 3**0.5  # differences -100, -200, 0
    assert (v.iterations.mean, v.iterations.lower, v.iterations.upper) == pytest.approx((-100, -100 - half, -100 + half))
    assert (v.seeds, v.dense_iterations) == ([0, 1, 2], 1000)


def test_seeds_are_paired_whatever_their_order():
    ticket = [0.701, 0.801, 0.901]
    v = only([*arm(0, DENSE), *reversed(arm(1, ticket))])
    assert v.verdict == "winning"
    lower = 0.001 - 2.132 * (0.1**2 / 3 + 0.1**2 / 3) ** 0.5
    assert lower < -0.1, "two samples of the same scores, unpaired, show nothing"


def test_margin_and_slack_decide():
    records = [*arm(0, DENSE), *arm(1, [0.69, 0.79, 0.89], [1080] * 3)]
    assert only(records).verdict == "not winning"
    assert only(records, margin=0.02, slack=0.1).verdict == "winning"
    assert only(records, margin=0.02).verdict == "not winning"


def test_which_accuracy_is_said():
    records = [*arm(0, DENSE, best_test_acc=0.8, test_acc=0.9), *arm(1, [0.5, 0.6, 0.7], best_test_acc=0.81, test_acc=0.9)]
    assert only(records).verdict == "not winning", "by default at early stop, as in the paper"
    assert "test accuracy at early stop, mean over 3 seeds" in text(records)
    for accuracy, said in (("best_test_acc", "at best validation accuracy"), ("test_acc", "at the last epoch")):
        assert only(records, accuracy=accuracy).verdict == "winning"
        assert f"test accuracy {said}, mean over 3 seeds" in text(records, accuracy=accuracy)
        assert "at early stop," not in text(records, accuracy=accuracy)
    with pytest.raises(ValueError, match="accuracy=val_acc"):
        verdicts(records, accuracy="val_acc")


def test_one_seed_shows_nothing():
    records = [*arm(0, [0.5]), *arm(1, [0.9], [10])]
    v = only(records)
    assert (v.verdict, v.accuracy.lower) == ("not shown", None)
    assert "test accuracy 90.00% of 1000 images, 87.98% to 91.71% (Wilson, 95%)" in v.note
    assert v.note in text(records)
    assert "not on record" in only([record(0, 0), record(0, 1)]).note, "older records"


def test_seeds_without_a_pair_are_left_out_and_said():
    records = [*arm(0, DENSE), *arm(1, [0.701, 0.801, 0.902, 0.1])]
    v = only(records)
    assert (v.seeds, v.dropped, v.verdict) == ([0, 1, 2], [3], "winning")
    assert "- 80.00%: left out against dense network, in one arm alone: seed 3." in text(records).splitlines()


def test_without_a_dense_network_nothing_is_shown():
    v = only(arm(1, DENSE))
    assert (v.seeds, v.verdict, v.accuracy.mean) == ([], "not shown", None)
    assert "| 80.00% | 0 |" in " ".join(text(arm(1, DENSE)).split())


def test_controls_are_compared_and_never_mixed_in():
    ticket, worse = [0.75, 0.85, 0.95], [0.70, 0.79, 0.91]
    records = [*arm(0, DENSE), *arm(1, ticket, [900, 910, 905])]
    alone = only(records)
    reinit = arm(1, worse, [1200, 1210, 1190], control="reinit")
    shuffle = arm(1, [0.9, 0.9, 0.9, 0.9], [700, 705, 700, 1], control="shuffle")
    v = only([*reinit, *records, *shuffle])
    assert (v.accuracy, v.iterations, v.verdict) == (alone.accuracy, alone.iterations, alone.verdict)
    first, second = v.controls
    assert (first.control, first.accuracy_verdict, first.iterations_verdict) == ("reinit", "better", "better")
    assert first.accuracy.bounds == pytest.approx(mean_interval([0.05, 0.06, 0.04]))
    assert (second.accuracy_verdict, second.iterations_verdict, second.dropped) == ("not shown", "worse", [3])
    assert "re-initialised" in text([*records, *reinit])


def test_a_control_needs_more_than_one_seed():
    v = only([*arm(0, DENSE[:1]), *arm(1, [0.9]), *arm(1, [0.5], control="random")])
    assert (v.controls[0].accuracy_verdict, v.controls[0].accuracy.lower) == ("not shown", None)


LONGER = {"recipe": "longer"}


@pytest.mark.parametrize(
    ("accuracies", "verdict"), [(DENSE, "no worse"), ([0.75, 0.86, 0.96], "worse"), ([0.6, 0.9, 0.9], "not shown")]
)
def test_the_dense_network_of_equal_compute_is_met_in_accuracy_alone(accuracies, verdict):
    tickets = [*arm(0, DENSE), *arm(2, [0.701, 0.801, 0.902])]
    longer = arm(0, accuracies, [1] * 3, epochs=30, **LONGER)
    v = only([*tickets, *longer])
    assert (v.matched.epochs, v.matched.verdict) == (30, verdict)
    assert v.verdict == "winning", "it is no part of the paper's definition"
    assert "dense of equal compute or more" in text([*tickets, *longer])


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


def test_old_records_have_verdicts_too():
    v = only([record(s, k) for s in (0, 1) for k in (0, 1)])
    assert (v.verdict, v.matched, v.controls) == ("winning", None, [])


def test_the_sparsest_winning_ticket_of_each_chain():
    win, lose = [0.701, 0.801, 0.902], [0.6, 0.7, 0.8]
    chain = [*arm(0, DENSE), *arm(1, win), *arm(2, win), *arm(3, lose)]
    other = [r | {"step": "snip", "criterion": "snip"} for r in arm(1, lose)]
    assert sparsest(verdicts(chain)).density == pytest.approx(0.64)
    said = text([*chain, *other])
    assert "**simple_cnn all, 20% a round: winning ticket at 64.00% of weights (n = 3); " in said
    assert "**simple_cnn all, 20% a round, snip: no winning ticket is shown (n = 3); " in said
    assert "one-sided 95%" in said
    assert "above -0.5 pp" in said
    assert "at most 5%" in said
    assert [v.verdict for v in verdicts(other + arm(0, DENSE))] == ["not winning"]


def test_recipes_are_never_compared_with_each_other():
    other = [r | {"recipe": "other"} for r in [*arm(0, [0.1, 0.2, 0.3]), *arm(1, [0.1, 0.2, 0.3])]]
    judged = verdicts([*arm(0, DENSE), *other, *arm(1, DENSE)])
    assert [(v.accuracy.mean, v.verdict) for v in judged] == [(0, "winning")] * 2


def test_verdicts_are_json_and_no_rounds_are_no_verdicts():
    records = [*arm(0, DENSE), *arm(1, DENSE), *arm(1, [0.1], control="random"), *arm(2, [0.7])]
    json.dumps([asdict(v) for v in verdicts(records)], allow_nan=False)
    assert verdicts(arm(0, DENSE)) == []
    assert text(arm(0, DENSE)) == "There is no ticket to judge.\n"
