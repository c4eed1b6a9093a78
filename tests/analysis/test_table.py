"""Tables, captions, and the names that tell chains apart."""

from dataclasses import replace

import pytest

from lth.analysis import ends, naming, table
from tests.analysis.invent import record

CHAINS = [record(s, k) for s in (0, 1) for k in range(4)]
CONTROLLED = [*CHAINS, *(record(s, k, control="reinit", early_stop_test_acc=0.3) for s in (0, 1) for k in (1, 2))]


def cells(text: str) -> list[list[str]]:
    """The rows of a Markdown table, header first."""
    header, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in text.splitlines())
    return [header, *rows]


def column(text: str, title: str) -> list[str]:
    header, *rows = cells(text)
    return [row[header.index(title)] for row in rows]


def test_the_table_has_a_row_a_round_and_prints_percent():
    text = table.table(CHAINS[:4])
    assert len({len(line) for line in text.splitlines()}) == 1
    assert len(cells(text)) == 1 + 4
    assert cells(text)[2] == ["0", "1", "80.00%", "0.510", "96", "0.510", "0.510", "0.510", "0.510", "1.50x", "12.3"]
    assert "speed-up" not in table.table([replace(r, speedup=None) for r in CHAINS])


@pytest.mark.parametrize("width", [60, 80, 110, 1000])
@pytest.mark.parametrize("score", ["acc", "r2"])
def test_a_table_fits_its_terminal_and_shows_what_matters(width, score):
    full = table.table([replace(r, score=score) for r in CHAINS])
    lines = table.fitting(full, width).splitlines()
    assert max(map(len, lines)) <= max(width, 80)  # what matters takes 80
    assert len({line.count("|") for line in lines}) == 1
    for title in ("seed", "round", "weights remaining", f"test {score} at early stop", "stop iteration"):
        assert f" {title} |" in lines[0]
    assert ("\n".join(lines) == full) == (width == 1000)


def test_means_are_over_the_seeds_of_one_recipe_step_round_and_control():
    other = [replace(r, recipe="123456789abc", early_stop_test_acc=0.9) for r in CHAINS]
    text = table.summary([*CONTROLLED, *other, record(0, 1, 0.2, 3)])
    assert column(text, "test acc at early stop") == [
        *(f"{0.51 + 0.01 * k:.3f} ± 0.014" for k in range(4)),
        *["0.300 ± 0.000"] * 2,
        *["0.900 ± 0.000"] * 4,
        "0.510",
    ]
    assert column(text, "n") == ["2"] * 10 + ["1"]
    assert column(text, "control") == ["-"] * 4 + ["reinit"] * 2 + ["-"] * 5
    assert column(text, "recipe") == ["abcdef"] * 6 + ["123456"] * 4 + ["abcdef"]
    assert column(text, "rounds at once")[-2:] == ["1", "3"]
    assert table.mean([0.5, None, 0.6]) == "0.550 ± 0.071"
    assert table.mean([None]) == ""


@pytest.mark.parametrize(
    ("fields", "method"),
    [
        ({"criterion": "snip"}, "snip"),
        ({"allocation": "layerwise"}, "magnitude, layerwise"),
        ({"rewind": "2ep"}, "rewind 2ep"),
        ({"retrain": "lr"}, "lr rewinding"),
        ({"criterion": "snip", "retrain": "finetune"}, "snip, fine-tune"),
    ],
)
def test_how_it_was_pruned_has_a_column_where_rounds_differ_in_it(fields, method):
    rows = [record(0, 0), record(0, 1), record(0, 1, step="other", **fields)]
    for text in (table.table(rows), table.summary(rows)):
        assert column(text, "method") == ["-", "magnitude", method]
    assert "method" not in table.table(rows[:2])
    assert list(naming.chains(rows).values()) == ["20% a round", f"20% a round, {method}"]


def test_what_a_sweep_varied_is_a_column_and_part_of_names():
    kinds = [{"recipe": f"recipe{n}", "settings": {"data.batch_size": n} if n != 64 else {}} for n in (8, 64)]
    sweep = [record(0, k, **kind) for kind in kinds for k in range(3)]
    for text in (table.table(sweep), table.summary(sweep)):
        assert column(text, "data.batch_size") == ["8"] * 3 + ["64"] * 3, "the default, which settings do not hold"
    assert set(naming.headings(sweep).values()) == {
        f"simple_cnn all, batch_size {n}, {step}" for n in (8, 64) for step in ("dense", "20% a round")
    }
    rows = [replace(r, settings={"seed": r.seed, "data.batch_size": 8}) for r in CHAINS]
    assert table.table(rows) == table.table(CHAINS), "what a seed changes, and what all share, is none"


def test_a_head_that_is_not_pruned_is_said_in_words():
    rows = [record(0, 1), record(0, 1, step="other", settings={"prune.head": False})]
    assert list(naming.chains(rows).values()) == ["20% a round, head pruned", "20% a round, head not pruned"]


def test_rates_data_sets_and_recipes_are_told_apart():
    rows = [record(0, 1, rate=rate, data=data, recipe=data * 3) for rate in (0.2, 0.5) for data in ("stripes", "dots")]
    for text in (table.table(rows), table.summary(rows)):
        assert len(set(text.splitlines()[2:])) == 4
    assert len(set(naming.headings(rows).values())) == 4
    alike = [record(0, 0, recipe=recipe) for recipe in ("123456789", "abcdefghi")]
    assert list(naming.headings(alike).values()) == [f"simple_cnn all, recipe {r}, dense" for r in ("123456", "abcdef")]
    assert list(naming.headings(alike[:1]).values()) == ["simple_cnn all, dense"]


def test_one_shots_that_differ_in_depth_alone_are_one_chain():
    shots = [
        record(0, 1, 0.2, n, step=f"{n} {scope}", determined_by={"prune": {"levels": n, "scope": scope}})
        for n in (3, 6) for scope in ("all", "backbone")
    ]  # fmt: skip
    chain = naming.chains([*shots, record(0, 1)])
    assert chain["3 all"] == chain["6 all"] != chain["3 backbone"] == chain["6 backbone"]
    assert chain["3 backbone"] == "one shot to rounds of 20%, scope backbone"


def test_a_document_says_what_the_running_accuracy_is_and_which_early_stops_were_not_seen():
    text = table.document(CHAINS)
    assert text.startswith("**Means.** Test accuracy at early stop, mean over 2 seeds.\n")
    assert text.count(table.RUNNING) == text.count("**Rounds.** Test accuracy at early stop, a row a round.\n") == 1
    assert "not seen" not in text
    ended = [replace(r, censored=r.round == 3) for r in CHAINS]
    assert "2 of 8 rounds stopped at the last iteration" in table.document(ended)
    assert column(table.table(ended), table.UNSEEN) == ["-", "-", "-", "yes"] * 2
    assert column(table.summary(ended), table.UNSEEN) == ["-"] * 3 + ["2 of 2"]
    assert table.document(CHAINS[:4]).startswith("**Rounds.**"), "one seed has no means"


def test_captions_name_the_score_the_end_point_and_n():
    assert table.caption(CHAINS[:5], "test_acc") == "Test accuracy at the last epoch, mean over 1 to 2 seeds."
    other = [replace(r, score="r2") for r in CHAINS[:4]]
    assert table.caption(other, "best_test_acc") == "Test r2 at best validation r2, 1 seed."
    assert ends.score([*CHAINS, *other]) == "score"


def test_layers_have_a_row_each_and_a_total():
    flops = {"a.weight": 100, "attention": 7, "c.weight": 3}
    row = record(0, 1, layers={"a.weight": 0.5}, layer_weights={"a.weight": 10}, layer_flops=flops, flops=110, flops_remaining=60)
    assert cells(table.layers(row))[1:] == [
        ["a", "10", "50.00%", "100", "50"],
        ["attention", "-", "100.00%", "7", "7"],
        ["c", "not pruned", "100.00%", "3", "3"],
        ["all", "1000", "80.00%", "110", "60"],
    ]
