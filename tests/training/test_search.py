"""The whole loop on small images: counts, sharing, resuming, extending, bit equality."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lth import load_ticket
from lth.pruning import masks as M
from lth.training import round as rounds
from lth.training.search import search
from lth.tree import files
from lth.tree.record import Record


def quiet(config):
    return search(config, say=lambda line: None)


def finals(outputs: Path) -> dict[str, bytes]:
    return {p.parent.name: p.read_bytes() for p in sorted(outputs.glob("rounds/*/final.safetensors"))}


@pytest.fixture
def trainings(monkeypatch):
    """The keys of the rounds that are trained, in order."""
    trained, run = [], rounds.run

    def counted(search, spec, *rest):
        trained.append(spec.key)
        return run(search, spec, *rest)

    monkeypatch.setattr(rounds, "run", counted)
    return trained


@pytest.mark.parametrize("model", ["lenet_300_100", "simple_cnn"])
def test_a_search_keeps_exactly_what_the_schedule_asks_and_checks_it(make_config, model, tmp_path):
    config = make_config(rounds=3, rate=0.3, model=model, logger="tensorboard")
    records = quiet(config)
    kept = records[0].prunable
    for k, record in enumerate(records):
        folder = tmp_path / "outputs" / "rounds" / record.name
        assert record == Record.of(json.loads((folder / "round.json").read_text()))
        assert (record.round, record.kept) == (k, kept)
        assert record.density == kept / record.prunable
        assert abs(record.density - 0.7**k) < 1e-3
        assert set(record.checks) == {
            "exact_count", "nested", "start", "zeros", "untouched", "init_unchanged", "ranks", "layer_collapse",
        }  # fmt: skip
        assert all(entry["holds"] for entry in record.checks.values())
        assert {"round.json", "ticket.safetensors", "final.safetensors", "metrics.csv"} <= {p.name for p in folder.iterdir()}
        assert any(p.name.startswith("events.out.tfevents") for p in folder.iterdir())
        assert record.effective_density <= record.density
        assert (record.best_epoch - 1) * 7 + 7 == record.best_iteration
        assert record.iterations == 14
        kept = M.kept_after(kept, 0.3)
    assert records[0].parent is None
    assert [r.parent for r in records[1:]] == [r.key for r in records[:-1]]


def test_the_network_learns(make_config):
    record = quiet(make_config(rounds=0, epochs=12))[0]
    assert record.test_acc > 0.8
    assert len(record.test_confusion) == 3
    assert sum(map(sum, record.test_confusion)) == 36
    assert abs(sum(record.test_class_acc.values()) / 3 - record.test_acc) < 1e-6


def test_a_ticket_can_be_loaded_and_is_start_times_mask(make_config, tmp_path):
    records = quiet(make_config(rounds=2))
    rounds = tmp_path / "outputs" / "rounds"
    first = load_ticket(rounds / records[0].name)
    assert all(mask.all() for mask in first.masks.values())
    assert first.density == 1
    previous = first
    for record in records[1:]:
        ticket = load_ticket(str(rounds / record.name))
        assert ticket.density == record.density
        assert M.regrown(ticket.masks, previous.masks) == 0
        for name, tensor in ticket.start.items():
            expected = first.start[name]
            if name in ticket.masks:
                assert ticket.masks[name].dtype == torch.bool
                expected = torch.where(ticket.masks[name], expected, torch.zeros(()))
            assert torch.equal(tensor, expected)
        final, about = files.read_tensors(rounds / record.name / "final.safetensors")
        assert list(final) == sorted(first.start)
        assert M.revived(final, ticket.masks) == 0
        assert about["classes"] == ["across", "down", "plain"]
        assert about["mean"] == [0.485, 0.456, 0.406]
        previous = ticket


def test_the_start_stands_once_and_masks_take_a_bit_a_weight(make_config, tmp_path):
    records = quiet(make_config(rounds=2))
    folders = [tmp_path / "outputs" / "rounds" / record.name for record in records]
    assert len({(folder / "start.safetensors").stat().st_ino for folder in folders}) == 1, "one file on the disk"
    folder = folders[2]
    assert (folder / "ticket.safetensors").stat().st_size < records[0].prunable / 8 + 2000


def test_a_finished_search_is_read_not_trained(make_config, trainings):
    first = quiet(make_config())
    assert len(trainings) == 3
    assert quiet(make_config()) == first
    assert len(trainings) == 3


def test_two_rounds_then_four_equal_four_at_once(make_config, trainings, tmp_path):
    quiet(make_config(tmp_path / "a", rounds=2))
    quiet(make_config(tmp_path / "a", rounds=4))
    assert len(trainings) == 5
    quiet(make_config(tmp_path / "b", rounds=4))
    assert finals(tmp_path / "a") == finals(tmp_path / "b")
    assert len(finals(tmp_path / "a")) == 5


def test_rates_and_one_shot_share_the_dense_network(make_config, trainings):
    for options in ({"rate": 0.2}, {"rate": 0.5}, {"rate": 0.2, "schedule": "one_shot", "rounds": 2}):
        records = quiet(make_config(**options))
    assert len(trainings) == 1 + 2 + 2 + 1
    assert len(records) == 2
    assert records[1].kept == M.kept_after(records[0].kept, 0.2, 2)


def test_a_round_whose_folder_is_gone_is_trained_again_alone(make_config, trainings, tmp_path):
    records = quiet(make_config())
    before = finals(tmp_path / "outputs")
    shutil.rmtree(tmp_path / "outputs" / "rounds" / records[1].name)
    quiet(make_config())
    assert trainings[3:] == [records[1].key]
    assert finals(tmp_path / "outputs") == before


def test_an_unfinished_round_is_trained_again(make_config, trainings, tmp_path):
    records = quiet(make_config())
    before = finals(tmp_path / "outputs")
    folder = tmp_path / "outputs" / "rounds" / records[2].name
    (folder / "round.json").unlink()
    (folder / "final.safetensors").write_bytes(b"half a fi")
    quiet(make_config())
    assert finals(tmp_path / "outputs") == before


def test_results_csv_has_one_row_a_round(make_config, tmp_path):
    quiet(make_config(rounds=1))
    quiet(make_config(rounds=2))
    quiet(make_config(rounds=1, seed=1))
    rows = list(csv.DictReader((tmp_path / "outputs" / "results.csv").read_text().splitlines()))
    assert len(rows) == len({row["key"] for row in rows}) == 5
    parents = {row["key"]: row["parent"] for row in rows}
    assert sum(not parent for parent in parents.values()) == 2
    assert all(parent in parents for parent in parents.values() if parent)
    assert {row["seed"] for row in rows} == {"0", "1"}


def test_seeds_differ(make_config, tmp_path):
    a, b = (quiet(make_config(rounds=0, seed=s))[0] for s in (0, 1))
    assert a.start != b.start


def test_the_process_a_round_runs_in_does_not_matter(make_config, tmp_path):
    """In one process the network lives on from round to round; one round a process starts from files alone."""
    quiet(make_config(tmp_path / "a", rounds=2, model="simple_cnn", augment="standard"))
    for k in (0, 1, 2):
        torch.manual_seed(k)
        torch.rand(k)
        quiet(make_config(tmp_path / "b", rounds=k, model="simple_cnn", augment="standard"))
    assert finals(tmp_path / "a") == finals(tmp_path / "b")


def test_streamed_images_train_the_same_weights(make_config, tmp_path):
    quiet(make_config(tmp_path / "a", rounds=1))
    quiet(make_config(tmp_path / "b", rounds=1, cache_limit=0.0, workers=1))
    assert finals(tmp_path / "a") == finals(tmp_path / "b")


def test_mixed_precision_keeps_masks_ranking_and_files_exact(make_config, tmp_path):
    records = quiet(make_config(rounds=2, model="simple_cnn", precision="bf16-mixed"))
    assert all(entry["holds"] for record in records for entry in record.checks.values())
    assert records[0].key != quiet(make_config(tmp_path / "32", rounds=0, model="simple_cnn"))[0].key
    final, _ = files.read_tensors(tmp_path / "outputs" / "rounds" / records[2].name / "final.safetensors")
    assert {t.dtype for t in final.values()} == {torch.float32}


def test_without_the_head_its_weights_all_stay(make_config):
    record = quiet(make_config(rounds=1, head=False))[1]
    assert "head.weight" not in record.layers
    assert record.prunable == 1200 * 300 + 300 * 100


def test_predictions_are_kept_in_test_order(make_config, tmp_path):
    records = quiet(make_config(rounds=1))
    out = tmp_path / "outputs"
    [listed] = (out / "tests").glob("*.json")
    test = json.loads(listed.read_text())
    for record in records:
        assert record.test == listed.stem
        given = np.load(out / "rounds" / record.name / "predictions.npy")
        labels = np.array(test["labels"])
        assert len(given) == len(labels) == len(test["paths"]) == 36
        assert (given == labels).mean() == pytest.approx(record.test_acc, abs=1e-6)
        assert np.bincount(given, minlength=3).tolist() == np.sum(record.test_confusion, axis=0).tolist()
    classes = [path.split("/")[0] for path in test["paths"]]
    assert classes == [records[0].classes[label] for label in labels]
    assert all((Path(test["root"]) / path).exists() for path in test["paths"])
