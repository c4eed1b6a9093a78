"""``lth.search`` with somebody else's modules: exact, resumed to the bit, verified, reported."""

import shutil
import warnings
from pathlib import Path

import pytest
import torch

import lth
from lth.cli import signals
from lth.errors import Interrupted, UsageError
from lth.invariants.verify import verify
from lth.pruning import masks as M
from lth.report.__main__ import report
from lth.training.checkpoint import SaveProgress
from tests.own.modules import Regression, Table, TextClassifier, Texts
from tests.training import finals

CPU = {"accelerator": "cpu"}


COMMON = {"trainer": CPU, "logger": "none", "say": lambda line: None}


def tables(outputs: Path, **changes):
    arguments = {"model": Regression, "data": Table(), "name": "table", "epochs": 4, "rounds": 2, "rate": 0.3, "outputs": outputs}
    return lth.search(**COMMON | arguments | {"score": "val/r2", "loss": "val/mse"} | changes)


def texts(outputs: Path, **changes):
    arguments = {"model": TextClassifier, "data": Texts(), "name": "text", "epochs": 3, "rounds": 1, "outputs": outputs}
    pruned = {"parameters": lambda name, parameter: not name.startswith("embed")}
    return lth.search(**COMMON | arguments | pruned | {"score": "val_right", "loss": "val_ce"} | changes)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Path:
    outputs = tmp_path_factory.mktemp("own")
    tables(outputs, controls="reinit+shuffle+order+dense", rewind="2ep", logger="tensorboard")
    return outputs


def test_a_regression_is_searched_and_extended(tmp_path, monkeypatch):
    first, records = tables(tmp_path, rounds=1), tables(tmp_path)
    assert [r.key for r in records][:2] == [r.key for r in first]
    monkeypatch.setattr("lth.training.round.run", None)
    assert tables(tmp_path) == records, "read, not trained"
    weights = 12 * 64 + 64
    assert [r.kept for r in records] == [weights, M.kept_after(weights, 0.3), M.kept_after(weights, 0.3, 2)]
    assert [r.score for r in records] == ["r2"] * 3
    assert all(r.held and r.model == "table" and r.data == "Table" and r.flops is None for r in records)
    assert records[0].early_stop_test_acc > 0.3
    dense, start = (lth.load_ticket(r.folder).start["net.0.weight"] for r in records[:2])
    assert torch.equal(start, dense * (start != 0))
    module = lth.load_model(records[2].folder, model=Regression)
    assert int((module.net[0].weight != 0).sum() + (module.net[4].weight != 0).sum()) <= records[2].kept
    assert not module.training


def stopped_at_every_epoch(search, monkeypatch):
    """Return what a search returns in the end, and how often it was stopped."""
    monkeypatch.setattr(SaveProgress, "_due", lambda saver: signals._asked.append("SIGTERM") or True)
    stops = 0
    while True:
        try:
            return search(), stops
        except Interrupted:
            signals._asked.clear()
            stops += 1


@pytest.mark.parametrize("search", [tables, texts])
def test_it_is_pruned_gradually_and_resumed_to_the_bit(search, tmp_path, monkeypatch):
    gradual = {"schedule": "gradual", "rounds": 2, "rate": 0.3, "every": 5}
    dense, record = search(tmp_path / "whole", **gradual)
    assert record.kept == M.kept_after(record.prunable, 0.3, 2)
    assert (record.held, record.epochs, record.iterations) == (True, 3 * dense.epochs, 3 * dense.iterations)
    assert record.early_stop_iteration >= record.checks["gradual"]["last_pruning"]
    assert stopped_at_every_epoch(lambda: search(tmp_path / "parts", **gradual), monkeypatch)[1] == 4 * dense.epochs - 2
    assert finals(tmp_path / "parts") == finals(tmp_path / "whole")
    assert verify(tmp_path / "parts", lambda line: None) == 0
    with pytest.raises(UsageError, match="criterion=ones is not accepted: it takes magnitude with schedule=gradual"):
        search(tmp_path, criterion=ones, **gradual)


def ones(weights, masks):
    return {name: torch.ones_like(weights[name]) for name in masks}


def test_what_may_change_a_result_changes_the_key(tmp_path):
    key = tables(tmp_path, rounds=0)[0].key
    changes = [
        {"model": lambda: Regression(width=32)}, {"model": lambda: Regression(lr=0.1)}, {"data": Table(noise=0.2)}, {"seed": 1},
        {"version": "2"}, {"data_version": "2"}, {"epochs": 1}, {"trainer": CPU | {"gradient_clip_val": 0.5}}, {"name": "other"},
    ]  # fmt: skip
    keys = [tables(tmp_path, rounds=0, **change)[0].key for change in changes]
    assert len({key, *keys}) == 1 + len(changes)
    recipe = {tables(tmp_path, rounds=0, seed=seed)[0].recipe for seed in (0, 1)}
    assert len(recipe) == 1, "seeds are replicates"


def test_its_controls_are_rewound_verified_and_reported(searched, tmp_path):
    frame, lines = lth.rounds(searched), []
    assert sorted(frame.control.dropna()) == ["order"] * 3 + ["reinit"] * 2 + ["shuffle"] * 2
    assert set(frame["begin_iteration"]) == {0, 16}
    assert verify(searched, lines.append) == 0
    assert lines[-1] == "12 rounds: 12 ok, 0 broken"
    assert report([str(searched), "--to", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "r2 at early stop" in page
    folder = shutil.copytree(searched, tmp_path / "damaged")
    broken = next(folder.glob("rounds/*round02*/final.safetensors"))
    broken.write_bytes(broken.read_bytes()[:-1] + b"\x01")
    assert verify(folder, lines.append) >= 1
    assert "final.safetensors" in "\n".join(lines[12:])


@pytest.mark.parametrize("search", [tables, texts])
def test_a_search_that_is_stopped_at_every_epoch_ends_with_the_same_bits(search, tmp_path, monkeypatch):
    expected = search(tmp_path / "whole")
    records, stops = stopped_at_every_epoch(lambda: search(tmp_path / "parts"), monkeypatch)
    assert stops == sum(r.epochs - 1 for r in records)
    assert finals(tmp_path / "parts") == finals(tmp_path / "whole")
    assert [(r.early_stop_iteration, r.test_acc) for r in records] == [(r.early_stop_iteration, r.test_acc) for r in expected]
    assert not list(tmp_path.glob("parts/checkpoints/*"))


def relative(weights, masks):
    return {name: weights[name].abs() / weights[name][mask].abs().mean() for name, mask in masks.items()}


def test_a_criterion_of_ones_own_shares_the_dense_network(tmp_path):
    magnitude, own = tables(tmp_path, rounds=1), tables(tmp_path, rounds=1, criterion=relative)
    assert own[0].key == magnitude[0].key
    assert own[1].key != magnitude[1].key
    assert (own[1].criterion, own[1].kept) == ("relative", magnitude[1].kept)
    assert verify(tmp_path, lambda line: None) == 0
    with pytest.raises(UsageError, match="a function with a name of its own"):
        tables(tmp_path, criterion=lambda weights, masks: weights)


def test_a_text_model_that_optimises_by_hand(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = texts(tmp_path, rounds=2)
    assert all(r.held for r in records)
    assert records[0].prunable == 3 * 24 * (16 + 24) + 48
    assert records[0].test_acc == records[0].val_acc, "there is no test part"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": lambda: torch.nn.Linear(2, 2)}, "a function that returns a LightningModule"),
        ({"score": "val/acc"}, r"val/acc"),
        ({"rat": 0.2}, "rat is no argument of lth.search; it takes schedule, rounds, rate"),
        ({"rate": 1.5}, "prune.rate=1.5 is not accepted"),
        ({"rewind": "5it"}, "it takes init, sign, or epochs such as 2ep"),
        ({"retrain": "finetune"}, "it takes rewind or lr"),
        ({"criterion": "snip"}, "it takes magnitude, random or a function"),
        ({"trainer": {"max_epochs": 3}}, "but those that the search sets"),
        ({"trainer": {"max_epoch": 3}}, "it takes arguments of pl.Trainer"),
        ({"name": "a/b"}, "a name without slashes"),
    ],
)
def test_a_wrong_argument_is_one_sentence(changes, sentence, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        tables(tmp_path, **changes)
