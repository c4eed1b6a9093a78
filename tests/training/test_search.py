"""The whole loop on small images: counts, sharing, resuming, extending, bit equality, early stop, criteria."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lth import load_ticket
from lth.config import Config, Prune, Score
from lth.invariants.verify import verify
from lth.pruning import masks as M
from lth.run import CONF
from lth.training import round as rounds
from lth.training.search import score
from lth.tree import files
from lth.tree.record import Record, read
from tests.test_run import small
from tests.training import finals, held, run

CHOICES = sorted(p.stem for p in (CONF / "prune").glob("*.yaml"))
CHECKS = {"exact_count", "nested", "start", "zeros", "untouched", "init_unchanged", "ranks", "layer_collapse"}


@pytest.fixture
def trainings(monkeypatch):
    """The keys of the rounds that are trained, in order."""
    trained, train = [], rounds.run

    def counted(task, store, spec, *rest):
        trained.append(spec.key)
        return train(task, store, spec, *rest)

    monkeypatch.setattr(rounds, "run", counted)
    return trained


@pytest.mark.parametrize("model", ["lenet_300_100", "simple_cnn"])
def test_a_search_keeps_exactly_what_the_schedule_asks_and_its_files_show_it(make_config, model):
    records = run(make_config(rounds=3, rate=0.3, model=model, logger="tensorboard"))
    kept, previous = records[0].prunable, load_ticket(records[0].folder)
    first = previous.start
    assert all(mask.all() for mask in previous.masks.values())
    assert [r.parent for r in records] == [None, *(r.key for r in records[:-1])]
    for k, record in enumerate(records):
        ticket = load_ticket(str(record.folder))
        assert record == Record.of(json.loads((record.folder / "round.json").read_text()))
        assert (record.round, record.kept, record.iterations) == (k, kept, 14)
        assert record.density == ticket.density == kept / record.prunable
        assert set(record.checks) == CHECKS
        assert held([record])
        assert {"round.json", "ticket.safetensors", "final.safetensors", "metrics.csv"} <= {
            p.name for p in record.folder.iterdir()
        }
        assert any(p.name.startswith("events.out.tfevents") for p in record.folder.iterdir())
        assert record.effective_density <= record.density
        assert M.regrown(ticket.masks, previous.masks) == 0
        for name, tensor in ticket.start.items():
            mask = ticket.masks.get(name)
            assert torch.equal(tensor, first[name] if mask is None else torch.where(mask, first[name], torch.zeros(())))
        final, about = files.read_tensors(record.folder / "final.safetensors")
        assert list(final) == sorted(first)
        assert M.revived(final, ticket.masks) == 0
        assert (about["classes"], about["mean"]) == (["across", "down", "plain"], [0.485, 0.456, 0.406])
        kept, previous = M.kept_after(kept, 0.3), ticket
    assert len({(r.folder / "start.safetensors").stat().st_ino for r in records}) == 1, "one file on the disk"
    assert (records[2].folder / "ticket.safetensors").stat().st_size < records[0].prunable / 8 + 4000, "a bit a weight"


def test_the_network_learns_and_its_predictions_are_kept_in_test_order(make_config, tmp_path):
    [record] = run(make_config(rounds=0, epochs=12))
    assert record.test_acc > 0.8
    assert abs(sum(record.test_class_acc.values()) / 3 - record.test_acc) < 1e-6
    [listed] = (tmp_path / "outputs" / "tests").glob("*.json")
    test = json.loads(listed.read_text())
    assert record.test == listed.stem
    predicted, labels = np.load(record.folder / "predictions.npy"), np.array(test["labels"])
    assert len(predicted) == len(labels) == len(test["paths"]) == 36
    assert (predicted == labels).mean() == pytest.approx(record.test_acc, abs=1e-6)
    assert np.bincount(predicted, minlength=3).tolist() == np.sum(record.test_confusion, axis=0).tolist()
    assert [path.split("/")[0] for path in test["paths"]] == [record.classes[label] for label in labels]
    assert all((Path(test["root"]) / path).exists() for path in test["paths"])


def test_rounds_are_read_extended_and_trained_again_alone(make_config, trainings, tmp_path):
    records = run(make_config(tmp_path / "a", rounds=2))
    assert run(make_config(tmp_path / "a", rounds=2)) == records
    assert trainings == [r.key for r in records]
    run(make_config(tmp_path / "a", rounds=4))
    assert len(trainings) == 5
    run(make_config(tmp_path / "b", rounds=4))
    assert finals(tmp_path / "a") == finals(tmp_path / "b")
    shutil.rmtree(records[1].folder)
    (records[2].folder / "round.json").unlink()  # as a process leaves it that is killed
    (records[2].folder / "final.safetensors").write_bytes(b"half a fi")
    run(make_config(tmp_path / "a", rounds=4))
    assert trainings[10:] == [records[1].key, records[2].key]
    assert finals(tmp_path / "a") == finals(tmp_path / "b")


def test_rates_and_one_shot_share_the_dense_network_and_seeds_do_not(make_config, trainings, tmp_path):
    for options in ({"rate": 0.2}, {"rate": 0.5}, {"rate": 0.2, "schedule": "one_shot", "rounds": 2}):
        records = run(make_config(**options))
    assert len(trainings) == 1 + 2 + 2 + 1
    assert records[1].kept == M.kept_after(records[0].kept, 0.2, 2)
    [other] = run(make_config(rounds=0, seed=1))
    assert other.start != records[0].start
    rows = list(csv.DictReader((tmp_path / "outputs" / "results.csv").read_text().splitlines()))
    assert {row["key"] for row in rows} == set(trainings)
    assert len(rows) == len(trainings)
    assert [row["seed"] for row in rows if not row["parent"]] == ["0", "1"]


def test_neither_the_process_nor_the_cache_of_images_matters(make_config, tmp_path):
    """In one process the network lives on from round to round; one round a process starts from files alone."""
    run(make_config(tmp_path / "a", rounds=2, model="simple_cnn", augment="standard"))
    for k in (0, 1, 2):
        torch.manual_seed(k)
        torch.rand(k)
        run(make_config(tmp_path / "b", rounds=k, model="simple_cnn", augment="standard"))
    run(make_config(tmp_path / "streamed", rounds=1, model="simple_cnn", augment="standard", cache_limit=0.0, workers=1))
    assert finals(tmp_path / "a") == finals(tmp_path / "b")
    assert finals(tmp_path / "streamed").items() <= finals(tmp_path / "a").items()


def test_mixed_precision_keeps_masks_ranking_and_files_exact(make_config, tmp_path):
    records = run(make_config(rounds=2, model="simple_cnn", precision="bf16-mixed"))
    assert held(records)
    assert records[0].key != run(make_config(tmp_path / "32", rounds=0, model="simple_cnn"))[0].key
    final, _ = files.read_tensors(records[2].folder / "final.safetensors")
    assert {t.dtype for t in final.values()} == {torch.float32}


def test_the_accuracy_at_early_stop_is_that_of_the_weights_of_least_validation_loss(make_config, tmp_path, monkeypatch):
    """Training is the same up to there, so a training that ends there has that test accuracy as its last one."""
    tests, test = [], pl.Trainer.test
    monkeypatch.setattr(pl.Trainer, "test", lambda *args, **options: tests.append(0) or test(*args, **options))
    [record] = run(make_config(rounds=0, epochs=5), optim__lr=0.02)  # such that the loss rises again
    assert len(tests) == len({record.early_stop_iteration, record.best_iteration, record.iterations}), "once for each"
    rows = list(csv.DictReader((record.folder / "metrics.csv").read_text().splitlines()))
    least = min(range(5), key=lambda k: float(rows[k]["val_loss"]))
    best = max(range(5), key=lambda k: float(rows[k]["val_acc"]))
    assert 0 < least < 4, "else the test shows nothing"
    assert (record.early_stop_epoch, record.early_stop_iteration) == (least + 1, int(rows[least]["iteration"]))
    assert (record.best_epoch, record.best_iteration) == (best + 1, 7 * (best + 1)), "of equal scores the first"
    assert str(record.early_stop_val_loss) == rows[least]["val_loss"]
    [ends_there] = run(make_config(outputs=tmp_path / "short", rounds=0, epochs=least + 1), optim__lr=0.02)
    assert ends_there.test_acc == record.early_stop_test_acc == ends_there.early_stop_test_acc
    assert (record.censored, ends_there.censored) == (False, True)


def test_validating_more_often_than_once_an_epoch_changes_nothing(make_config, tmp_path):
    plain = run(make_config(rounds=1))[1]
    often = run(make_config(outputs=tmp_path / "often", rounds=1), trainer__val_check_interval=4)[1]
    rows = [line.split(",")[:2] for line in (often.folder / "metrics.csv").read_text().splitlines()[1:]]
    assert rows == [["1", "4"], ["2", "8"], ["2", "12"], ["2", "14"]]
    for name in ("test_acc", "val_acc", "train_acc", "iterations"):
        assert getattr(plain, name) == getattr(often, name)


def test_a_sweeper_is_given_the_last_ticket_not_a_control(make_config):
    config = make_config(rounds=1)
    records = run(config, prune__controls="all")
    assert (records[-1].epochs, records[-1].control) == (4, None), "the compute-matched dense network comes last"
    records[-1] = replace(records[-1], early_stop_val_acc=2.0)
    assert score(config, records) == records[1].early_stop_val_acc
    assert score(Config(prune=Prune(schedule="one_shot", rounds=6)), records) == records[1].early_stop_val_acc


@pytest.mark.parametrize(
    ("accuracies", "wanted", "expected"),
    [
        ([0.90, 0.89, 0.895, 0.88], {}, 0.64),  # one percentage point below is within it
        ([0.90, 0.88, 0.895, 0.88], {}, 0.64),  # the sparsest one counts, not the last in a row
        ([0.90, 0.80, 0.885, 0.88], {}, -0.005),
        ([0.90, 0.80, 0.885, 0.88], {"within": 0.1}, 0.784),
        ([0.20, 0.30, 0.300, 0.30], {"at_least": 0.5}, -0.2),  # a poor dense network is no yardstick
        ([0.20, 0.60, 0.300, 0.30], {"at_least": 0.5}, 0.4),
        ([0.90], {}, 0.0),
    ],
)
def test_the_sparsest_ticket_that_is_good_enough_by_hand(accuracies, wanted, expected):
    records = [SimpleNamespace(early_stop_val_acc=acc, density=0.6**k) for k, acc in enumerate(accuracies)]
    control = SimpleNamespace(early_stop_val_acc=1.0, density=0.0)
    config = Config(prune=Prune(rounds=len(accuracies) - 1), score=Score("sparsest", **wanted))
    assert score(config, [*records, control]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("criterion", "allocation"),
    [
        ("magnitude", "layerwise"), ("magnitude", "erk"), ("random", "global"), ("random", "layerwise"), ("snip", "global"),
        ("snip", "erk"), ("grasp", "layerwise"), ("synflow", "global"), ("synflow", "layerwise"),
    ],
)  # fmt: skip
def test_the_count_is_exact_for_every_criterion_and_allocation(make_config, criterion, allocation):
    config = make_config(model="resnet20", rounds=2, rate=0.5, epochs=1)
    config.model.width = 0.25
    records = run(config, prune__criterion=criterion, prune__allocation=allocation)
    for before, record in pairwise(records):
        if allocation == "layerwise":
            masks = [load_ticket(r.folder).masks for r in (before, record)]
            assert all(M.kept({n: mask}) == M.kept_after(M.kept({n: masks[0][n]}), 0.5) for n, mask in masks[1].items())
        else:
            assert record.kept == M.kept_after(before.kept, 0.5)
        assert (record.criterion, record.allocation) == (criterion, allocation)
    assert held(records)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_of_prune_runs(images, tmp_path, choice):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "config", [*small(images, tmp_path), "epochs=2", f"prune={choice}", "prune.rounds=2", "prune.every=2", "logger=none"]
        )
    config = OmegaConf.to_object(cfg)
    records = run(config)
    assert len(records) == (2 if choice == "n_m" else {"imp": 3, "one_shot": 2, "gradual": 2}[config.prune.schedule])
    weights = {"channels": records[-1].kept, "n_m": records[0].prunable // 2}  # tests/training/test_structure.py counts channels
    assert records[-1].kept == weights.get(choice, M.kept_after(records[0].prunable, 0.2, 2))
    assert held(records)


def test_criteria_at_the_start_do_not_look_at_the_trained_weights(make_config, tmp_path):
    """The same masks whatever round 0 learnt: they are made of its initial weights."""
    records = [run(make_config(tmp_path / str(e), rounds=1, epochs=e), prune__criterion="snip")[1] for e in (1, 2)]
    assert len({M.hash_masks(load_ticket(record.folder).masks) for record in records}) == 1


def test_the_head_has_its_own_rate_or_is_spared(make_config):
    record = run(make_config(rounds=1, rate=0.4), prune__allocation="layerwise", prune__head_rate=0.5)[1]
    densities = {name: round(density, 2) for name, density in record.layers.items()}
    assert densities == {"fc1.1.weight": 0.6, "fc2.0.weight": 0.6, "head.weight": 0.8}
    record = run(make_config(rounds=1, head=False))[1]
    assert set(record.layers) == {"fc1.1.weight", "fc2.0.weight"}
    assert record.prunable == 1200 * 300 + 300 * 100


def test_two_ranks_train_the_same_masks_and_write_once(images, tmp_path):
    command = [sys.executable, "-m", "lth.run", *small(images, tmp_path), "trainer.devices=2", "prune.rounds=2", "epochs=2"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    records = sorted(read(tmp_path).records, key=lambda r: r.round)
    assert [r.round for r in records] == [0, 1, 2]
    assert held(records)
    for record in records:
        assert record.checks["ranks"]["ranks"] == 2
        assert sum(map(sum, record.test_confusion)) == 36, "each test image is scored once, over both ranks"
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4
    assert ended.stdout.count("round 2/2:") == 1
    assert verify(tmp_path, say=lambda line: None) == 0
