"""Experiments that were once called winning wrongly, and what the sentences say of them."""

import shlex
from dataclasses import replace

import pytest

from lth.analysis.ends import EARLY_STOP
from lth.analysis.sentences import accounts
from lth.analysis.settle import command, is_study, of_study
from lth.analysis.statement import brief, text
from lth.analysis.verdict import verdicts
from lth.study.plan import Size, rounds
from tests.analysis.invent import arm
from tests.analysis.test_verdict import BAD, DENSE, GOOD

COMMAND = "-m seed=0,1,2 experiment=controls outputs=o"


def account(records):
    """The headline, and the sentences of what is shown, missed and to be run."""
    (one,) = accounts([replace(r, command=r.command or COMMAND) for r in records], EARLY_STOP)
    return one


def controlled(reinit=0.05, longer=0.05, stops=(500, 505, 510)):
    """A winning ticket, a re-initialised control better by ``reinit`` and a dense network of equal compute by ``longer``."""
    records = [*arm(0, DENSE), *arm(1, GOOD, [900, 910, 905])]
    records += arm(1, [a + reinit for a in GOOD], list(stops), control="reinit")
    return records + arm(0, [a + longer for a in GOOD], epochs=20, recipe="longer")


def test_better_controls_stand_in_the_headline():
    assert [v.verdict for v in verdicts(controlled())] == ["winning"]
    assert account(controlled())[0] == (
        "simple_cnn all, 20% a round: winning ticket at 80.00% of weights (n = 3); but the re-initialised control "
        "is better in accuracy and early stop; but the dense network of equal compute (20 epochs) is 5.0 pp better"
    )


def test_beaten_controls_stand_in_the_headline_and_sparser_tickets_are_next():
    headline, shown, missed, settle = account(controlled(-0.05, -0.001, (2000, 2005, 2010)))
    assert headline.endswith(
        "(n = 3); better than re-initialised in accuracy and early stop; no worse than the dense network of equal compute"
    )
    assert "better than re-initialised in accuracy by 5.0 pp [4.9, 5.1], than re-initialised in early stop" in shown
    assert missed == "Missed: nothing, but no sparser ticket was tried."
    assert settle.endswith("`python -m lth.run -m seed=0,1,2 experiment=controls outputs=o prune.rounds=4`")


def test_absent_controls_stand_in_the_headline_and_are_next():
    headline, _, missed, settle = account([*arm(0, DENSE), *arm(1, GOOD)])
    assert headline.endswith("(n = 3); re-initialised control not run; dense network of equal compute not run")
    assert "the re-initialised control was not run; the dense network of equal compute was not run" in missed
    assert "prune.controls=reinit+dense prune.control_rounds=1" in settle


def sweep():
    """Three seeds, a dense network, five tickets, four controls: 30 rounds, of which 26 stopped at the last iteration."""
    low, even = [0.6956, 0.7870, 0.8796], [0.697543, 0.801543, 0.905543]  # the second misses the margin by 0.02 pp
    tickets = {k: even if k == 3 else low for k in range(1, 6)}
    records = [r for k, scores in {0: DENSE, **tickets}.items() for r in arm(k, scores)]
    for k in (3, 5):
        for name, gap in (("reinit", 0.084), ("shuffle", 0.083)):
            records += arm(k, [a - gap + d for a, d in zip(tickets[k], (-0.002, 0, 0.002))], control=name)
    return [replace(r, censored=i % 8 != 7 and i > 0) for i, r in enumerate(records)]


def test_a_sweep_that_shows_no_winner_says_what_it_shows():
    assert (len(sweep()), sum(r.censored for r in sweep())) == (30, 26)
    headline, shown, missed, settle = account(sweep())
    assert "no winning ticket is shown (n = 3); better than re-initialised in accuracy at 32.77%; dense" in headline
    assert "better than re-initialised in accuracy by 8.4 pp [7.9, 8.9], than shuffled mask in accuracy by 8.3 pp" in shown
    assert "at 51.20% of weights accuracy misses the margin of 0.5 pp by 0.02 pp" in missed
    assert "early stop cannot be compared: 26 of 30 rounds stopped at the last iteration" in missed
    assert "20 epochs instead of 10, so that early stops are seen, and 7 seeds instead of 3: " in settle
    assert "python -m lth.run -m seed=0,1,2,3" in settle
    assert settle.endswith(" experiment=controls outputs=o epochs=20`")


def test_each_condition_that_holds_is_shown_at_its_own_level():
    late = [*arm(0, DENSE), *arm(1, GOOD, [1100, 1110, 1105]), *arm(2, BAD, [900, 910, 905])]
    _, shown, missed, settle = account(late)
    assert "test accuracy at early stop is no lower than the dense network's at 80.00% of weights (+0.13 pp, at least" in shown
    assert "early stop is no later than the dense network's at 64.00% (-95 of 1000 iterations, at most -87)" in shown
    assert "at 80.00% of weights early stop is later than the dense network's (+105 of 1000 iterations)" in shown
    assert shown.endswith("(each at its own 95%).")
    assert missed.startswith("Missed: at 80.00% of weights early stop is later")
    assert "prune.rate=0.1" in settle


def test_speed_is_not_asked_of_a_network_that_starts_trained():
    headline, shown, *_ = account([*arm(0, DENSE), *arm(1, GOOD, [5000] * 3, retrain="finetune")])
    assert "subnetwork that matches in accuracy at 80.00%" in headline
    assert "its weights start trained, so speed is not compared" in shown


def test_a_gradual_network_is_judged_by_accuracy_beside_equal_compute_alone():
    records = [*arm(0, DENSE), *arm(1, GOOD, [5000] * 3, levels=3, epochs=40, settings={"prune.schedule": "gradual"})]
    headline, shown, _, settle = account(records)
    assert headline == (
        "simple_cnn all, gradual to rounds of 20%: subnetwork that matches in accuracy at 51.20% of weights (n = 3); "
        "dense network of equal compute not run"
    )
    assert "it is pruned while it trains, so speed is not compared" in shown
    assert "run the dense network of equal compute: " in settle
    assert "prune.controls=dense " in settle
    equal = arm(0, GOOD, epochs=40, recipe="longer")
    assert "no worse than the dense network of equal compute" in account([*records, *equal])[0], "40 epochs, not 80"


def test_one_seed_asks_for_five():
    headline, shown, missed, settle = account([*arm(0, [0.5]), *arm(1, [0.9], [10], command="seed=0 data=scenes")])
    assert "n = 1" in headline
    assert shown == "Shown: nothing, neither against the dense network nor against a control."
    assert "one seed shows nothing beyond its binomial interval: test accuracy 90.00% of 1000 images, 87.98% to 91.71%" in missed
    assert settle == "To settle it: 5 seeds instead of 1: `python -m lth.run -m seed=0,1,2,3,4 data=scenes`"


def test_more_seeds_are_asked_for_by_what_they_would_show():
    near, far = (account([*arm(0, DENSE), *arm(1, a)])[3] for a in ([0.7, 0.796, 0.906], [0.7, 0.760, 0.935]))
    count = int(near.partition(" seeds")[0].rpartition(" ")[2])
    assert 3 < count < 20
    assert f"seed={','.join(map(str, range(count)))} " in near
    assert "at least 20 seeds instead of 3: " in far


@pytest.mark.parametrize(
    ("recorded", "changes", "chain", "expected"),
    [
        ("-m seed=0,1 prune.rate=0.2", {"seed": "0,1,2"}, {}, "-m seed=0,1,2 prune.rate=0.2"),
        ("seed=0", {"seed": "0,1"}, {}, "-m seed=0,1"),
        ("prune.rate=0.2 epochs=3 --multirun", {"epochs": "6"}, {}, "-m prune.rate=0.2 epochs=6"),
        ("-m data.batch_size=8,16 seed=0,1", {"epochs": "6"}, {"data.batch_size": 8}, "-m data.batch_size=8 seed=0,1 epochs=6"),
        ("optim.milestones=[0.5,0.75] 'data.root=a b'", {}, {}, "'optim.milestones=[0.5,0.75]' 'data.root=a b'"),
        (
            "-m hydra/sweeper=optuna hydra.sweeper.n_trials=9 'prune.rate=interval(0.1,0.5)'",
            {"seed": "0,1"},
            {"prune.rate": 0.2},
            "-m prune.rate=0.2 seed=0,1",
        ),
        (None, {"epochs": "6"}, {}, "epochs=6"),
        ("tests/tree -x -q", {"epochs": "6"}, {}, "epochs=6"),
    ],
)
def test_a_command_is_that_on_record_with_what_changes(recorded, changes, chain, expected):
    line = command(recorded, changes, chain)
    assert line == f"python -m lth.run {expected}"
    assert shlex.join(shlex.split(line)) == line


def test_the_same_words_stand_everywhere_and_name_what_a_sweep_varied():
    records, line = [], "-m data.batch_size=8,64 prune.rate=0.2,0.5 seed=0,1,2"
    for i, settings in enumerate(({"data.batch_size": 8}, {})):
        recipe = {"recipe": f"recipe{i}", "family": f"family{i}", "settings": settings, "command": line}
        records += arm(0, DENSE, **recipe) + [r for rate in (0.2, 0.5) for r in arm(1, GOOD, rate=rate, **recipe)]
    judged = accounts(records, EARLY_STOP)
    sweep = [(size, rate) for size in (8, 64) for rate in (0.2, 0.5)]
    for (size, rate), (headline, *_, settle) in zip(sweep, judged, strict=True):
        assert headline.startswith(f"simple_cnn all, batch_size {size}, {100 * rate:g}% a round: winning ticket at ")
        assert f"-m data.batch_size={size} prune.rate={rate} seed=0,1,2 prune.controls=reinit+dense" in settle
    words = text(records)
    assert all(sentence in words for one in judged for sentence in one)
    assert [line[13:] for line in brief(records)] == [sentence.replace("`", "") for one in judged for sentence in one]
    assert text(arm(0, DENSE)) == text(arm(1, DENSE)) == "There is no ticket to judge.\n"


def test_another_score_has_its_name_and_its_unit():
    """A difference of 0.004 in r2 is no percentage, and the number of test images says nothing of its step."""
    records = [*arm(0, DENSE, score="r2"), *arm(1, [0.704, 0.804, 0.904], [900, 910, 905], score="r2")]
    words = text([*records, *arm(1, BAD, control="reinit", score="r2")])
    assert "test r2 at early stop is no lower than the dense network's at 80.00% of weights (+0.0040, at least +0.0040)" in words
    assert "better than re-initialised in r2 by 0.104 [0.104, 0.104]" in words
    assert "| r2 less it |" in " ".join(words.split())
    assert "accuracy" not in words
    assert " pp" not in words
    tuned = account([replace(r, retrain="finetune") if r.round else r for r in records])
    assert "subnetwork that matches in r2 at 80.00%" in tuned[0]
    assert "one seed shows nothing;" in account([replace(r, images={}, censored=True) for r in records if not r.seed])[2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": "5,6,7,8", "epochs": "24"}, "epochs=24 study.budget=none prune.rate=0.2 study.seeds=4"),
        ({"prune.controls": "reinit+dense", "prune.control_rounds": "2"}, "study.controls=reinit+dense study.density=0.6406"),
        ({"prune.rounds": "4"}, "study.density=0.41"),
        ({"prune.rate": "0.1"}, "prune.rate=0.1"),
    ],
)
def test_what_settles_a_study_is_a_command_of_it(changes, expected):
    line = command("experiment=study epochs=30", of_study(changes, arm(1, [0.5])[0]), {})
    assert line.startswith("python -m lth.run experiment=study ")
    assert set(expected.split()) <= set(line.split())


def test_a_study_is_told_by_its_command():
    lines = ["experiment=study", "study.models=[a,b]", "experiment=study study.models=[]", "outputs=study", None]
    assert [is_study(line) for line in lines] == [True, True, False, False, False]


def test_densities_of_a_study_lead_to_the_round_that_is_meant():
    for structure, k in (("weights", 3), ("channels", 3)):
        ticket = arm(k, [0.5], rate=0.37, settings={"prune.structure": structure})[0]
        density = float(of_study({"prune.rounds": f"{k}"}, ticket)["study.density"])
        assert rounds(Size(1, 1, 0.37), density, structure) == k
