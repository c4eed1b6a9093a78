"""The table and the figure of a study, from invented records and cards."""

from dataclasses import replace

import pytest

from lth.report import draw, study
from lth.report.cards import Export
from tests.analysis.invent import arm


def rows(*tickets: list[float], dense: list[float] = (0.80, 0.81, 0.79)):
    """A dense network and one round for each list of accuracies, as test and as validation accuracies."""
    found = []
    for k, accuracies in enumerate([list(dense), *tickets]):
        size = {"parameters": 2_000_000, "model_density": 0.5**k, "flops_remaining": 2_000_000}
        found += arm(k, accuracies, rate=0.5, early_stop_train_acc=0.9, **size)
    return [replace(r, early_stop_val_acc=r.early_stop_test_acc) for r in found]


def chosen(records):
    return [v.ticket.round if v else 0 for _, v in study.chosen(records)]


def test_the_sparsest_matching_ticket_stands_for_a_chain_else_one_within_a_point_else_the_sparsest():
    good, near, bad = [0.85, 0.86, 0.84], [0.795, 0.795, 0.785], [0.5, 0.5, 0.5]
    assert chosen(rows(good, near, bad)) == [0, 1]
    assert chosen(rows(near, near, bad)) == [0, 2], "no ticket is shown to win"
    assert chosen(rows(bad, bad)) == [0, 2]
    assert chosen(rows()) == [0]


def test_a_dense_network_that_trained_as_long_as_tickets_is_no_row():
    records = rows([0.85, 0.86, 0.84])
    longer = [replace(r, key=f"{r.key} longer", epochs=50, recipe="longer") for r in records if not r.round]
    assert len(study.chosen(records + longer)) == 2


def test_the_table_has_means_what_remains_what_was_measured_and_the_verdict_in_its_own_words():
    records = rows([0.85, 0.86, 0.84])
    [ticket] = [r for r in records if r.round and r.seed == 0]
    sizes = {"dense": {"model.safetensors": 8_000_000}, "ticket": {"model.safetensors": 1_500_000}}
    export = Export(ticket, {}, {}, sizes, {1: {"dense": 2.0, "ticket": 1.0}}, "ONNX Runtime", "2 cores", "to")
    frame = study.frame_of(records, [export])
    dense, pruned = frame.to_dict("records")
    assert dense["test accuracy at early stop"] == "0.800 ± 0.010"
    assert (dense["verdict"], pruned["verdict"], pruned["n"]) == ("-", "winning", "3")
    assert (pruned["weights remaining, trained part"], pruned["whole network"]) == ("50.0%", "50.0%")
    assert (dense["ms, batch 1"], pruned["ms, batch 1"]) == ("2", "1")
    assert (dense["file, MB"], pruned["file, MB"]) == ("8", "1.5")
    what = study.Study([r.key for r in records], left_out={"a": "no file.", "b": "no file."})
    assert "ONNX Runtime on 2 cores. Left out: a, b (no file)." in study.caption(records, what, [export])
    assert "No time was measured." in study.caption(records, what, [])
    assert "**simple_cnn" in study.document(records, what, [export])


@pytest.mark.parametrize("tickets", [([0.85, 0.86, 0.84],), ()])
def test_the_figure_has_a_line_a_chain_from_the_dense_network_on(tickets):
    records = rows(*tickets)
    plot = study.figure(records)
    assert [line.label for line in plot.lines] == [f"simple_cnn all, {'weights' if tickets else 'dense'} (n = 3)"]
    assert plot.lines[0].x[0] == 2.0
    assert plot.title.endswith("mean over 3 seeds")
    assert draw.saved(draw.draw(plot)).startswith(b"\x89PNG")


def test_weights_and_channels_of_a_row_have_one_colour():
    channels = [r for r in rows([0.8, 0.8, 0.81]) if r.round]
    channels = [replace(r, key=f"{r.key} c", step="c", settings=r.settings | {"prune.structure": "channels"}) for r in channels]
    one, other = study.figure(rows([0.85, 0.86, 0.84]) + channels).lines
    assert (one.colour, one.dash, other.dash) == (other.colour, "-", "--")
