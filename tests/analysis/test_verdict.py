"""What may be called a winning ticket, and what is compared with what."""

from dataclasses import replace

import pytest

from lth.analysis.statement import text
from lth.analysis.statistics import mean
from lth.analysis.verdict import EQUAL, OWN, sparsest, verdicts
from tests.analysis.invent import arm

GRADUAL = {"settings": {"prune.schedule": "gradual"}, "levels": 3}
DENSE = [0.70, 0.80, 0.90]  # seeds differ far more than tickets do
GOOD, BAD = [0.701, 0.801, 0.902], [0.6, 0.7, 0.8]


def only(records, *accuracy):
    (verdict,) = verdicts(records, *accuracy)
    return verdict


@pytest.mark.parametrize(
    ("accuracies", "stops", "expected"),
    [
        (GOOD, [900, 910, 905], "winning"),
        ([0.697, 0.797, 0.897], [1040] * 3, "winning"),  # within margin and slack, at no variance
        ([0.690, 0.789, 0.891], [900, 910, 905], "not winning"),  # worse
        (GOOD, [1100, 1110, 1105], "not winning"),  # later
        ([0.680, 0.801, 0.930], [900, 910, 905], "not shown"),  # scattered
        (GOOD, [800, 900, 1300], "not shown"),
    ],
)
def test_verdicts(accuracies, stops, expected):
    assert only([*arm(0, DENSE), *arm(1, accuracies, stops)]).verdict == expected


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({}, "winning"),
        ({"rewind": "500it"}, "matching"),
        ({"pretrained": True}, "matching"),
        ({"rewind": "sign"}, "matching"),
        ({"retrain": "lr"}, "matching in accuracy"),
        ({"retrain": "finetune", "rewind": "500it"}, "matching in accuracy"),
        (GRADUAL, "matching in accuracy"),
    ],
)
def test_what_a_ticket_starts_from_says_what_it_may_be_called(start, expected):
    """Weights that start trained stop at once: that is no speed, and none is asked of them; nor of weights that start dense."""
    assert only([*arm(0, DENSE), *arm(1, GOOD, [50] * 3, **start)]).verdict == expected
    late = only([*arm(0, DENSE), *arm(1, GOOD, [5000] * 3, **start)]).verdict
    assert late == {"winning": "not winning", "matching": "not matching"}.get(expected, expected)
    worse = only([*arm(0, DENSE), *arm(1, BAD, [50] * 3, **start)]).verdict
    assert worse == ("not winning" if expected == "winning" else "not matching")


@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
def test_an_early_stop_that_was_not_seen_shows_nothing_about_speed(which):
    censored = [replace(r, censored=late) for k, late in zip((0, 1), which) for r in arm(k, (DENSE, GOOD)[k])[1:2]]
    v = only([*arm(0, DENSE), *arm(1, GOOD, [2000] * 3), *censored])
    assert (v.verdict, v.dense.censored, v.p) == ("not shown", sum(which), 1.0)
    assert only([*arm(0, DENSE), *arm(1, BAD, censored=True)]).verdict == "not winning", "less accurate it may be shown"


def test_two_seeds_that_differ_by_exactly_as_much_are_no_certainty():
    """Scores go in steps, here of one of 1000 images and of 50 iterations between validations."""
    records = [*arm(0, [0.70, 0.80], [500, 400], iterations=500), *arm(1, [0.70, 0.80], [450, 350], iterations=500)]
    v = only(records)
    half = [6.313752 * step / 6**0.5 / 2**0.5 for step in (0.001, 50)]
    assert v.dense.accuracy.bounds == pytest.approx((-half[0], half[0]))
    assert v.dense.iterations.bounds == pytest.approx((-50 - half[1], -50 + half[1]))
    assert v.verdict == "not shown"


def test_numbers_by_hand():
    v = only([*arm(0, DENSE, [1000, 1100, 900]), *reversed(arm(1, [0.71, 0.82, 0.93], [900, 900, 900]))])
    half = 2.919986 * 0.01 / 3**0.5  # differences 0.01, 0.02, 0.03
    assert (v.dense.accuracy.value, *v.dense.accuracy.bounds) == pytest.approx((0.02, 0.02 - half, 0.02 + half))
    half = 2.919986 * 100 / 3**0.5  # differences -100, -200, 0
    assert (v.dense.iterations.value, *v.dense.iterations.bounds) == pytest.approx((-100, -100 - half, -100 + half))
    assert (v.dense.seeds, v.dense.other_stop, v.allowed) == ([0, 1, 2], 1000, 50)


def test_the_end_point_is_a_choice():
    records = [*arm(0, DENSE, best_test_acc=0.8, test_acc=0.9), *arm(1, [0.5, 0.6, 0.7], best_test_acc=0.81, test_acc=0.9)]
    assert only(records).verdict == "not winning", "by default at early stop, as in the paper"
    assert "test accuracy at early stop, mean over 3 seeds" in text(records)
    for accuracy, words in (("best_test_acc", "at best validation accuracy"), ("test_acc", "at the last epoch")):
        assert only(records, accuracy).verdict == "winning"
        assert f"test accuracy {words}, mean over 3 seeds" in text(records, accuracy=accuracy)


def test_seeds_without_a_pair_are_left_out_and_named():
    records = [*arm(0, DENSE), *arm(1, [*GOOD, 0.1])]
    v = only(records)
    assert (v.dense.seeds, v.dense.dropped, v.verdict) == ([0, 1, 2], [3], "winning")
    assert "| 80.00% | dense network | 3 | 3 | +0.13 [" in " ".join(text(records).split())
    assert verdicts(arm(1, DENSE)) == [], "nor is a ticket without its dense network judged"


def test_controls_are_compared_and_never_mixed_in():
    records = [*arm(0, DENSE), *arm(1, [0.75, 0.85, 0.95], [900, 910, 905])]
    alone = only(records)
    reinit = arm(1, [0.70, 0.79, 0.91], [1200, 1210, 1190], control="reinit")
    shuffle = arm(1, [0.9, 0.9, 0.9, 0.9], [700, 705, 700, 1], control="shuffle")
    v = only([*reinit, *records, *shuffle, *arm(1, [0.5], control="random")])
    assert (v.dense, v.p_corrected, v.verdict) == (alone.dense, alone.p_corrected, alone.verdict)
    first, second = v.comparisons["re-initialised"], v.comparisons["shuffled mask"]
    assert (first.accuracy_verdict, first.iterations_verdict) == ("better", "better")
    assert first.accuracy.interval == pytest.approx(mean([0.05, 0.06, 0.04]).interval)
    assert (second.accuracy_verdict, second.iterations_verdict, second.dropped) == ("not shown", "worse", [3])
    assert (v.comparisons["random mask"].accuracy_verdict, v.comparisons["random mask"].accuracy.interval) == ("not shown", None)


@pytest.mark.parametrize(
    ("accuracies", "verdict"), [(DENSE, "no worse"), ([0.75, 0.86, 0.96], "worse"), ([0.6, 0.9, 0.9], "not shown")]
)
def test_the_dense_network_of_equal_compute_is_met_in_accuracy_alone(accuracies, verdict):
    records = [*arm(0, DENSE), *arm(2, GOOD), *arm(0, accuracies, [1] * 3, epochs=30, recipe="longer")]
    v = only(records)
    assert (v.comparisons[EQUAL].epochs, v.no_worse(EQUAL)) == (30, verdict)
    assert v.verdict == "winning", "it is no part of the paper's definition"
    row = " ".join(text(records).split()).partition("| dense network of equal compute (30 epochs) | 3 | - |")[2]
    assert row.split("|")[1].strip() == verdict


def elsewhere(accuracies, density=0.5, **changes):
    """Round 1 of a search that trains masks which round 4 of another search found."""
    origin = {"recipe": "0123456789ab", "classes": ["a", "b"], "data": "scenes", "rate": 0.5, "levels": 1, "round": 4}
    masks = {"step": "far", "criterion": None, "allocation": None, "density": density, "origin": origin}
    return [replace(record, rate=None) for record in arm(1, accuracies, **masks, **changes)]


@pytest.mark.parametrize(
    ("accuracies", "verdict", "words"),
    [
        (GOOD, "no worse", "beside this data's own ticket no worse at 50.00%"),
        (BAD, "worse", "beside this data's own ticket less accurate at 50.00%"),
        ([0.6, 0.9, 0.9], "not shown", "beside this data's own ticket not shown to be no worse at 50.00%"),
    ],
)
def test_a_ticket_found_elsewhere_is_judged_beside_this_datas_own_of_nearest_density(accuracies, verdict, words):
    own = [*arm(0, DENSE), *arm(3, DENSE), *arm(4, BAD), *arm(3, BAD, rewind="500it", step="late")]  # 51.2% and 40.96%
    records = [*own, *elsewhere(accuracies), *arm(3, [1.0] * 3, control="reinit")]
    judged = {v.name: v for v in verdicts(records)}["simple_cnn all, tickets found on a+b, 50% a round, masks of recipe 012345"]
    assert judged.comparisons[OWN].density == pytest.approx(0.512)
    assert judged.no_worse(OWN) == verdict
    assert judged.dense.accuracy == only([*arm(0, DENSE), *elsewhere(accuracies)]).dense.accuracy, "and beside the dense network"
    assert f"; {words}" in text(records)
    assert ("at 50.00% of weights are no less accurate than this data's own ticket" in text(records)) == (verdict == "no worse")
    assert "this data's own ticket (51.20%) | 3 |" in " ".join(text(records).split())
    assert not any(OWN in v.comparisons for v in verdicts(own)), "which is no comparison of its own tickets"


def test_a_ticket_of_another_density_is_not_its_own_beside_one_found_elsewhere():
    for density, found in ((0.512 / 1.09, True), (0.512 / 1.12, False), (0.512 * 1.12, False)):
        records = [*arm(0, DENSE), *arm(3, DENSE), *elsewhere(GOOD, density)]
        assert ("this data's own ticket not run" in text(records)) != found
    missed = text([*arm(0, DENSE), *elsewhere(BAD)])
    assert "more seeds would not change that; other densities are other rounds of the search that found the masks" in missed


def test_the_nearest_dense_network_of_enough_epochs_is_taken():
    tickets = [*arm(0, DENSE), *arm(2, DENSE)]  # 3 trainings of 10 epochs
    dense = [
        *arm(0, DENSE, epochs=29, recipe="less"),
        *arm(0, DENSE, epochs=90, recipe="most"),
        *arm(0, DENSE, epochs=40, recipe="more"),
        *arm(0, DENSE, epochs=30, recipe="other", family="other"),
    ]
    assert only([*tickets, *dense]).comparisons[EQUAL].epochs == 40
    assert EQUAL not in only([*tickets, *dense[:3]]).comparisons
    shot = only([*arm(0, DENSE), *arm(1, DENSE, levels=6), *arm(0, DENSE, epochs=20, recipe="longer")])
    assert shot.comparisons[EQUAL].epochs == 20


def test_each_chain_has_its_sparsest_winning_ticket():
    chain = [*arm(0, DENSE), *arm(1, GOOD), *arm(2, GOOD), *arm(3, BAD)]
    other = arm(1, BAD, step="snip", criterion="snip")
    assert sparsest(verdicts(chain)).density == pytest.approx(0.64)
    words = text([*chain, *other])
    assert "**simple_cnn all, 20% a round: winning ticket at 64.00% of weights (n = 3); " in words
    assert "**simple_cnn all, 20% a round, snip: no winning ticket is shown (n = 3); " in words
    assert "above -0.5 pp" in words
    assert "at most 5% of the dense network's mean" in words


def test_recipes_are_never_compared_with_each_other():
    other = [r for k in (0, 1) for r in arm(k, [0.1, 0.2, 0.3], recipe="other")]
    judged = verdicts([*arm(0, DENSE), *other, *arm(1, DENSE)])
    assert [(v.dense.accuracy.value, v.verdict) for v in judged] == [(0, "winning")] * 2


def test_of_many_densities_one_wins_by_chance():
    """p is 0.03 at one of five densities: 0.15 after the correction."""
    wide = [[d + s for d, s in zip(DENSE, spread)] for spread in ([-0.02, 0.0, 0.02], [-0.03, 0.01, 0.02])]
    chain = [*arm(0, DENSE), *arm(1, [0.7012, 0.8043, 0.9005])]
    alone = only(chain)
    assert (alone.verdict, alone.p) == ("winning", alone.p_corrected)
    chain += [r for k in range(2, 6) for r in arm(k, wide[k % 2])]
    first, *others = verdicts(chain)
    assert first.p_corrected == pytest.approx(5 * alone.p)
    assert {v.verdict for v in (first, *others)} == {"not shown"}
    words = text(chain)
    assert f"p = {first.p:.3f} is {first.p_corrected:.3f} after Holm's correction" in words
    assert "uncorrected, 1 of 5 densities have a p of at most 0.05" in words
    (row,) = [line for line in words.splitlines() if line.startswith("|            80.00%")]
    assert row.endswith(f"| {first.p:.3f} |    {first.p_corrected:.3f} |")
