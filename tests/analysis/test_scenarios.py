"""What may be called a winning ticket: experiments that were once called so wrongly, and what the sentences say now."""

import shlex
from dataclasses import replace

import pytest

from lth.analysis import statement
from lth.analysis.ends import EARLY_STOP
from lth.analysis.sentences import accounts
from lth.analysis.settle import command
from lth.analysis.statement import brief, text
from lth.analysis.verdict import verdicts
from tests.analysis.invent import arm

DENSE = [0.70, 0.80, 0.90]
GOOD = [0.701, 0.801, 0.902]
COMMAND = "-m seed=0,1,2 experiment=controls outputs=o"


def account(records):
    (one,) = accounts(records, EARLY_STOP)
    return one


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ({}, "winning"),
        ({"rewind": "500it"}, "matching"),
        ({"rewind": "2ep"}, "matching"),
        ({"pretrained": True}, "matching"),
        ({"retrain": "lr"}, "matching in accuracy"),
        ({"retrain": "finetune"}, "matching in accuracy"),
        ({"retrain": "finetune", "rewind": "500it"}, "matching in accuracy"),
    ],
)
def test_what_a_ticket_starts_from_says_what_it_may_be_called(start, expected):
    """Weights that start trained stop at once: that is no speed."""
    (v,) = verdicts([*arm(0, DENSE), *arm(1, GOOD, [50, 50, 50], **start)])
    assert v.verdict == expected
    (worse,) = verdicts([*arm(0, DENSE), *arm(1, [0.6, 0.7, 0.8], [50, 50, 50], **start)])
    assert worse.verdict == ("not winning" if expected == "winning" else "not matching")


def test_speed_is_not_asked_of_a_network_that_starts_trained():
    (v,) = verdicts([*arm(0, DENSE), *arm(1, GOOD, [5000] * 3, retrain="finetune")])
    assert v.verdict == "matching in accuracy"
    one = account([*arm(0, DENSE), *arm(1, GOOD, [5000] * 3, retrain="finetune")])
    assert "subnetwork that matches in accuracy at 80.00%" in one.headline
    assert "its weights start trained, so speed is not compared" in one.shown


@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)])
def test_where_early_stop_was_not_seen_nothing_is_shown_about_speed(which):
    dense, ticket = (arm(k, a, command=COMMAND) for k, a in ((0, DENSE), (1, GOOD)))
    for records, censored in zip((dense, ticket), which):
        records[1] = replace(records[1], censored=censored)
    (v,) = verdicts([*dense, *ticket])
    assert (v.verdict, v.dense.censored, v.p) == ("not shown", sum(which), 1.0)
    one = account([*dense, *ticket])
    assert f"early stop cannot be compared: {sum(which)} of 6 rounds stopped at the last iteration" in one.missed
    assert "20 epochs instead of 10, so that early stops are seen: " in one.settle
    assert one.settle.endswith("`python -m lth.run -m seed=0,1,2 experiment=controls outputs=o epochs=20`")
    assert "test accuracy at early stop is no lower than the dense network's at 80.00%" in one.shown


def test_a_censored_ticket_may_still_be_shown_less_accurate():
    (v,) = verdicts([*arm(0, DENSE), *arm(1, [0.6, 0.7, 0.8], censored=True)])
    assert v.verdict == "not winning"
    (v,) = verdicts([*arm(0, DENSE), *arm(1, GOOD, [2000] * 3, censored=True)])
    assert v.verdict == "not shown", "later, but by an end that was not seen"


def controlled(reinit=0.05, longer=0.05, stops=(500, 505, 510)):
    """A winning ticket, a re-initialised control better by ``reinit`` and a dense network of equal compute by ``longer``."""
    records = [*arm(0, DENSE), *arm(1, GOOD, [900, 910, 905])]
    records += arm(1, [a + reinit for a in GOOD], list(stops), control="reinit")
    return records + arm(0, [a + longer for a in GOOD], epochs=20, recipe="longer")


def test_better_controls_stand_in_the_headline():
    records = controlled()
    (v,) = verdicts(records)
    assert v.verdict == "winning"
    headline = account(records).headline
    assert headline == (
        "simple_cnn all, 20% a round: winning ticket at 80.00% of weights (n = 3) against its dense network, but the "
        "re-initialised control is better in accuracy and early stop and the dense network of equal compute (20 epochs) is "
        "5.0 pp better"
    )
    assert headline in text(records)
    assert headline in brief(records)[0]
    assert "| winning against its dense network, but the re-initialised control is better" in " ".join(text(records).split())


def test_beaten_controls_and_absent_ones_stand_in_the_headline():
    headline = account(controlled(-0.05, -0.001, (2000, 2005, 2010))).headline
    assert headline.endswith(
        "(n = 3); better than re-initialised in accuracy and early stop; no worse than the dense network of equal compute"
    )
    one = account([*arm(0, DENSE, command=COMMAND), *arm(1, GOOD, command=COMMAND)])
    assert one.headline.endswith("(n = 3); re-initialised control not run; dense network of equal compute not run")
    assert "the re-initialised control was not run; the dense network of equal compute was not run" in one.missed
    assert "prune.controls=reinit+dense prune.control_rounds=1" in one.settle


def sweep():
    """Three seeds, a dense network, five tickets, four controls: 30 rounds, of which 26 stopped at the last iteration."""
    low, even = [0.6956, 0.7870, 0.8796], [0.697543, 0.801543, 0.905543]  # the second misses the margin by 0.02 pp
    tickets = {k: even if k == 3 else low for k in range(1, 6)}
    records = [r for k, scores in {0: DENSE, **tickets}.items() for r in arm(k, scores, command=COMMAND)]
    for k in (3, 5):
        for name, gap in (("reinit", 0.084), ("shuffle", 0.083)):
            records += arm(k, [a - gap + d for a, d in zip(tickets[k], (-0.002, 0, 0.002))], control=name)
    return [replace(r, censored=i % 8 != 7 and i > 0) for i, r in enumerate(records)]


def test_a_sweep_that_shows_no_winner_says_what_it_shows():
    records = sweep()
    assert (len(records), sum(r.censored for r in records)) == (30, 26)
    one = account(records)
    assert "no winning ticket is shown (n = 3)" in one.headline
    assert "more accurate than re-initialised ones by 8.4 pp" in one.shown
    assert "than shuffled masks by 8.3 pp" in one.shown
    assert "at 51.20% of weights accuracy misses the margin of 0.5 pp by 0.02 pp" in one.missed
    assert "early stop cannot be compared: 26 of 30 rounds stopped at the last iteration" in one.missed
    assert "20 epochs instead of 10, so that early stops are seen, and 7 seeds instead of 3: " in one.settle
    assert "python -m lth.run -m seed=0,1,2,3" in one.settle
    assert one.settle.endswith(" experiment=controls outputs=o epochs=20`")
    assert brief(records)[1:] == [f"{'':13}{sentence.replace('`', '')}" for sentence in one.sentences]


def test_of_many_densities_one_wins_by_chance():
    """p is 0.03 at one of five densities: 0.15 after the correction."""
    wide = [[d + s for d, s in zip(DENSE, spread)] for spread in ([-0.02, 0.0, 0.02], [-0.03, 0.01, 0.02])]
    lucky = [0.7012, 0.8043, 0.9005]
    chain = [*arm(0, DENSE), *arm(1, lucky)]
    (alone,) = verdicts(chain)
    assert alone.verdict == "winning"
    assert alone.p == alone.p_corrected < 0.05
    for k in range(2, 6):
        chain += arm(k, wide[k % 2])
    first, *others = verdicts(chain)
    assert first.p == alone.p
    assert first.p_corrected == pytest.approx(5 * alone.p)
    assert (first.verdict, {v.verdict for v in others}) == ("not shown", {"not shown"})
    one = account(chain)
    assert f"p = {first.p:.3f} is {first.p_corrected:.3f} after Holm's correction" in one.missed
    assert "uncorrected, 1 of 5 densities have a p of at most 0.05" in one.missed
    assert "test accuracy at early stop is no lower" in one.shown
    assert "early stop is no later" in one.shown
    assert one.shown.endswith("(each at its own 95%).")
    (row,) = [line for line in text(chain).splitlines() if line.startswith("|            80.00%")]
    assert f"{first.p:.3f}" in row
    assert f"{first.p_corrected:.3f}" in row


def test_one_seed_asks_for_five():
    one = account([*arm(0, [0.5]), *arm(1, [0.9], [10], command="seed=0 data=scenes")])
    assert "n = 1" in one.headline
    assert "one seed shows nothing beyond its binomial interval" in one.missed
    assert one.settle == "5 seeds instead of 1: `python -m lth.run -m seed=0,1,2,3,4 data=scenes`"


def test_more_seeds_are_asked_for_by_what_they_would_show():
    near = account([*arm(0, DENSE, command=COMMAND), *arm(1, [0.700, 0.796, 0.906], command=COMMAND)])
    far = account([*arm(0, DENSE, command=COMMAND), *arm(1, [0.700, 0.760, 0.935], command=COMMAND)])
    asked = [one.settle.partition(" seeds")[0] for one in (near, far)]
    assert 3 < int(asked[0]) < 20
    assert asked[1] == "20"
    assert "20 seeds instead of 3; more are needed for a chance of 80%" in far.settle
    assert f"seed={','.join(map(str, range(int(asked[0]))))} " in near.settle


def test_seeds_that_would_rather_show_the_contrary_are_named_so():
    one = account([*arm(0, DENSE), *arm(1, [0.70, 0.76, 0.91])])
    assert "which are likelier to show that it is not winning: `" in one.settle


def test_where_all_is_shown_sparser_tickets_are_next():
    records = controlled(-0.05, -0.001, (2000, 2005, 2010))
    one = account([replace(r, command=COMMAND) for r in records])
    assert one.missed == "nothing, but no sparser ticket was tried."
    assert one.settle.endswith("`python -m lth.run -m seed=0,1,2 experiment=controls outputs=o prune.rounds=4`")


def test_where_every_density_fails_denser_ones_are_next():
    one = account([*arm(0, DENSE), *arm(1, [0.6, 0.7, 0.8]), *arm(2, [0.5, 0.6, 0.7])])
    assert "at 80.00% of weights test accuracy is lower" in one.shown
    assert "no density comes near" in one.missed
    assert "prune.rate=0.1" in one.settle


@pytest.mark.parametrize(
    ("recorded", "changes", "chain", "expected"),
    [
        ("-m seed=0,1 prune.rate=0.2", {"seed": "0,1,2"}, {}, "-m seed=0,1,2 prune.rate=0.2"),
        ("seed=0", {"seed": "0,1"}, {}, "-m seed=0,1"),
        ("prune.rate=0.2 epochs=3 --multirun", {"epochs": "6"}, {}, "-m prune.rate=0.2 epochs=6"),
        ("epochs=3", {"epochs": "6"}, {}, "epochs=6"),
        ("-m data.batch_size=8,16 seed=0,1", {"epochs": "6"}, {"data.batch_size": "8"}, "-m data.batch_size=8 seed=0,1 epochs=6"),
        (
            "optim.milestones=[0.5,0.75] 'data.root=a b'",
            {"epochs": "6"},
            {},
            "'optim.milestones=[0.5,0.75]' 'data.root=a b' epochs=6",
        ),
        ("", {"seed": "0,1"}, {}, "-m seed=0,1"),
        (None, {"epochs": "6"}, {}, "epochs=6"),
        ("tests/tree -x -q", {"epochs": "6"}, {}, "epochs=6"),
        ("'unclosed", {"epochs": "6"}, {}, "epochs=6"),
    ],
)
def test_a_command_is_that_on_record_with_what_changes(recorded, changes, chain, expected):
    line = command(recorded, changes, chain)
    assert line == f"python -m lth.run {expected}"
    assert shlex.join(shlex.split(line)) == line


def test_the_same_words_stand_everywhere():
    records = sweep()
    summary = statement.summary(records)
    assert text(records).startswith(summary)
    for line in brief(records):
        assert line[13:] in summary.replace("`", "")


def swept():
    """Two batch sizes and two rates, three seeds each."""
    records, line = [], "-m data.batch_size=8,64 prune.rate=0.2,0.5 seed=0,1,2"
    for i, settings in enumerate(({"data.batch_size": 8}, {})):
        recipe = {"recipe": f"recipe{i}", "family": f"family{i}", "settings": settings, "command": line}
        records += arm(0, DENSE, **recipe)
        for rate in (0.2, 0.5):
            records += arm(1, GOOD, rate=rate, **recipe)
    return records


def test_what_a_sweep_varied_is_in_every_name_and_no_two_are_alike():
    names = [one.headline.partition(":")[0] for one in accounts(swept(), EARLY_STOP)]
    assert names == [
        "simple_cnn all, batch_size 8, 20% a round",
        "simple_cnn all, batch_size 8, 50% a round",
        "simple_cnn all, batch_size 64, 20% a round",
        "simple_cnn all, batch_size 64, 50% a round",
    ]
    lines = brief(swept())
    assert len(set(lines[::4])) == 4
    assert (
        lines[3]
        .strip()
        .endswith(
            "python -m lth.run -m data.batch_size=8 prune.rate=0.2 seed=0,1,2 prune.controls=reinit+dense prune.control_rounds=1"
        )
    )


def test_a_hash_of_weights_is_no_value_to_type():
    record = replace(swept()[0], settings={"model.weights": "0123abcd", "data.batch_size": 8})
    values = typed(record, ["data.batch_size", "model.weights"])
    assert values["data.batch_size"] == "8"
    assert "model.weights" not in values


def test_a_ticket_without_a_dense_network_asks_for_one():
    (v,) = verdicts(arm(1, DENSE))
    assert (v.p, v.p_corrected, v.verdict) == (None, None, "not shown")
    one = account(arm(1, DENSE, command=COMMAND))
    assert "no dense network of the same recipe and seed" in one.missed
    assert one.settle == "train the dense networks: `python -m lth.run -m seed=0,1,2 experiment=controls outputs=o`"
