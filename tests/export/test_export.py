"""``python -m lth.export`` and ``python -m lth.predict``, as a person uses them."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import lth
from lth import predict
from lth.export import __main__ as command
from lth.export import calibration, compact, latency, source
from lth.export.latency import medians
from lth.report import cards
from lth.training.search import search
from lth.tree.record import read
from tests.conftest import decay
from tests.test_config import composed

for package in ("onnx", "onnxscript", "onnxruntime", "torch_pruning"):
    pytest.importorskip(package, reason=f"the export needs {package}")


@pytest.fixture(scope="module")
def outputs(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dense network and two tickets of conv2."""
    folder = tmp_path_factory.mktemp("export") / "outputs"
    line = "data=folder data.image_size=20 data.batch_size=16 model=conv2 epochs=2 prune.rate=0.9 prune.rounds=2 trainer=cpu"
    search(composed(*line.split(), "logger=none", f"data.root={images}", f"outputs={folder}"), say=lambda line: None)
    return folder


def _round(outputs: Path, number: int) -> Path:
    return next(outputs.glob(f"rounds/*-round{number:02d}-*"))


def _quick(calls: Mapping[str, Callable], seconds: float) -> dict[str, float]:
    return medians(calls, min(seconds, 0.05))


@pytest.fixture
def export(typed: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the command: exit code, stdout, stderr."""
    monkeypatch.setattr(latency, "medians", _quick)
    return partial(typed, command.main)


@pytest.fixture(scope="module")
def exported(outputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("exported") / "net"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latency, "medians", _quick)
        patch.setattr(sys, "argv", ["lth", str(_round(outputs, 2)), "--to", str(to), "--int8", "--runtime", "onnxruntime"])
        command.main()
    return to


def test_the_card_says_what_was_exported(exported: Path, outputs: Path) -> None:
    card = json.loads((exported / "card.json").read_text())
    record = json.loads((_round(outputs, 2) / "round.json").read_text())
    assert {path.name for path in exported.iterdir()} == {*card["bytes"], "card.json", "README.md"}
    assert {"model.onnx", "model.pt2", "model.safetensors", "model.int8.onnx"} <= set(card["bytes"])
    assert card["classes"] == ["across", "down", "plain"]
    assert (card["key"], card["seed"], card["test_acc"]) == (record["key"], 2018, pytest.approx(record["test_acc"]))
    assert card["predictions_differ"] == 0
    assert card["largest_difference"] < 1e-4
    assert card["parameters"]["exported"] < card["parameters"]["dense"]
    assert card["parameters"]["remaining"] < 0.03 * card["parameters"]["dense"]
    assert {(row["runtime"], row["batch"]) for row in card["latency"]} == {("onnxruntime", 1), ("onnxruntime", 32)}
    assert all(row["ratio"].keys() == {"ticket", "int8"} and min(row["ms"].values()) > 0 for row in card["latency"])
    assert card["bytes"]["model.safetensors"] < 0.1 * card["dense_bytes"]
    assert str(card["test_images"]) in (exported / "README.md").read_text()
    noted = json.loads(next((outputs / "exports").iterdir()).read_text())
    assert noted == card | {"folder": str(exported.resolve())}
    [shown] = cards.read(read(outputs))
    assert (shown.runtime, shown.accuracies["ticket"]) == ("ONNX Runtime", card["test_acc"]), "the report reads it"
    assert shown.ms.keys() == {1, 32}
    assert shown.ms[1].keys() == {"dense", "ticket", "int8"}


def test_each_file_predicts_what_the_ticket_predicts(exported: Path, outputs: Path, images: Path) -> None:
    folder = _round(outputs, 2)
    net, state = lth.load_model(folder), compact.read(exported / "model.safetensors")
    assert all(np.array_equal(state[name], t.numpy()) for name, t in net.state_dict().items())
    card, paths = predict.read_card(exported), predict.images_of([str(images / "test")])
    expected = np.load(folder / "predictions.npy")
    for run in (predict.runner(exported), _torch_runner(exported)):
        found = [int(p.argmax()) for _, p in predict.predict(run, card, paths)]
        assert found == expected.tolist()


def _torch_runner(folder: Path) -> predict.Run:
    from lth.export import csr

    assert csr.SparseLinear is not None
    module = torch.export.load(folder / "model.pt2").module()
    return lambda images: module(torch.from_numpy(images)).detach().numpy()


def test_predict_names_what_it_cannot_read_and_does_the_others(
    exported: Path, images: Path, tmp_path: Path, typed: Callable
) -> None:
    folder = tmp_path / "some"
    shutil.copytree(images / "test" / "down", folder)
    (folder / "broken.png").write_bytes(b"no image")
    table = tmp_path / "table.csv"
    for words in ([], ["--csv", str(table)]):
        code, out, err = typed(predict.main, exported, folder, *words)
        assert code == 1
        assert "broken.png cannot be decoded" in err
        if not words:
            assert len(out.splitlines()) == 12
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == 12
    assert rows[0].keys() == {"image", "class", "across", "down", "plain"}
    assert sum(float(rows[0][name]) for name in ("across", "down", "plain")) == pytest.approx(1, abs=1e-5)


def test_predict_runs_the_model_in_8_bit_integers_if_it_is_asked_for(
    exported: Path, images: Path, tmp_path: Path, typed: Callable
) -> None:
    agreement = json.loads((exported / "card.json").read_text())["agreement"]["onnxruntime int8"]
    card, paths = predict.read_card(exported), predict.images_of([str(images / "test")])
    found = [p.argmax() for _, p in predict.predict(predict.runner(exported, int8=True), card, paths)]
    true = [card["classes"].index(path.parent.name) for path in paths]
    assert np.mean(np.equal(found, true)) == pytest.approx(agreement["test_acc"])
    without = tmp_path / "net"
    shutil.copytree(exported, without, ignore=shutil.ignore_patterns("model.int8.onnx"))
    code, _, err = typed(predict.main, without, paths[0], "--int8")
    assert code == 1
    assert "has no model.int8.onnx that runs here" in err


def test_activations_of_the_model_in_8_bit_integers_are_unsigned(exported: Path) -> None:
    import onnx

    graph = onnx.load(exported / "model.int8.onnx").graph
    types = {one.name: one.data_type for one in graph.initializer}
    zeros = {types[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}
    assert zeros == {onnx.TensorProto.UINT8}


def test_images_that_were_moved_are_found_by_either_folder(outputs: Path, images: Path, tmp_path: Path) -> None:
    """By that of data.root or that of the test images: the training images, which calibrate, are beside them."""
    now, other = tmp_path / "now", tmp_path / "other"
    shutil.copytree(images, now)
    other.mkdir()
    for place in (now, now / "test"):
        root, tests = source.moved(str(images), images / "test", place)
        assert (root, tests) == (now, now / "test")
        assert source.load(_round(outputs, 1), place).paths[0].is_relative_to(now / "test")
    assert np.array_equal(calibration.images(_round(outputs, 1), now), calibration.images(_round(outputs, 1)))
    assert source.moved(str(images), images / "test", other) == (None, other), "only the test images are known to be there"
    assert source.moved(None, images / "test", now) == (None, now), "downloaded"
    assert source.moved(str(images), images, now) == (now, now), "the test images were drawn from all"


def test_predict_runs_without_torch_and_hydra(exported: Path, images: Path) -> None:
    hidden = "; ".join(
        f"sys.modules[{name!r}] = None" for name in ("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf")
    )
    image = images / "test" / "down" / "000.png"
    code = (
        f"import sys; {hidden}; sys.argv = ['predict', {str(exported)!r}, {str(image)!r}]; from lth.predict import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{image}  ")
    missing = code.replace(str(image), "nowhere.png")
    done = subprocess.run([sys.executable, "-c", missing], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "lth: nowhere.png is not accepted: there is no such image or folder.\n")


def test_best_is_the_sparsest_within_a_point_of_its_dense_network(outputs: Path, tmp_path: Path) -> None:
    from lth.export.source import find
    from lth.tree import record

    records = record.read(outputs).records
    dense = next(r for r in records if r.round == 0)
    close = [r for r in records if r.round and r.val_acc >= dense.val_acc - 0.01]
    if close:
        assert find("best", outputs) == min(close, key=lambda r: r.density).folder
    else:
        with pytest.raises(lth.errors.UsageError, match="no ticket"):
            find("best", outputs)


def test_a_folder_that_exists_is_replaced_by_force_alone(exported: Path, outputs: Path, export: Callable, tmp_path: Path) -> None:
    to = tmp_path / "net"
    to.mkdir()
    (to / "mine").touch()
    for words, sentence in (([], "--force replaces the folder of an export"), (["--force"], "it is no export to replace")):
        code, _, err = export(_round(outputs, 0), "--to", to, *words)
        assert (code, sentence in err) == (2, True)
        assert (to / "mine").exists()
    shutil.rmtree(to)
    shutil.copytree(exported, to)
    assert export(_round(outputs, 0), "--to", to, "--force", "--formats", "safetensors", "--runtime", "none")[0] == 0
    assert {path.name for path in to.iterdir()} == {"model.safetensors", "card.json", "README.md"}


WRONG = {
    "format": (["--formats", "onnx,tflite"], 2, "--formats tflite is not accepted: it takes onnx, pt2, safetensors"),
    "runtime": (["--runtime", "tensorrt"], 2, "--runtime tensorrt is not accepted"),
    "multiple": (["--multiple", "0"], 2, "--multiple 0 is not accepted"),
    "no file": (["--formats", "pt2", "--runtime", "onnxruntime"], 2, "--runtime onnxruntime is not accepted: it times onnx"),
    "no images": (["--images", "/nowhere"], 1, "--images DIR says where"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_options_get_one_sentence(case: str, outputs: Path, tmp_path: Path, export: Callable) -> None:
    words, code, sentence = WRONG[case]
    ended, _, error = export(_round(outputs, 1), "--to", tmp_path / "net", *words)
    assert (ended, error.count("\n")) == (code, 1)
    assert sentence in error
    assert not list(tmp_path.glob("*net*"))


def test_int8_is_made_from_onnx_whatever_formats_say(outputs: Path, tmp_path: Path, export: Callable) -> None:
    to = tmp_path / "net"
    words = ["--int8", "--formats", "safetensors", "--runtime", "onnxruntime"]
    assert export(_round(outputs, 2), "--to", to, *words)[0] == 0
    card = json.loads((to / "card.json").read_text())
    assert {"model.onnx", "model.int8.onnx", "model.safetensors"} == set(card["bytes"])
    assert {row["runtime"] for row in card["latency"]} == {"onnxruntime"}


def test_damaged_and_missing_rounds_and_packages(
    outputs: Path, tmp_path: Path, export: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "outputs"
    shutil.copytree(outputs, copy)
    decay(_round(copy, 1) / "final.safetensors", 100)
    for place, expected, sentence in (
        (_round(copy, 1), 1, "final.safetensors is missing, or does not match its hash"),
        (tmp_path, 1, "holds no round.json"),
        (_round(copy, 2), 2, "pip install -e '.[export]'"),
    ):
        if expected == 2:
            monkeypatch.setattr("lth.errors.find_spec", lambda name: None)
        code, _, err = export(place, "--to", tmp_path / "net")
        assert (code, sentence in err) == (expected, True)
    assert not list(tmp_path.glob("*net*"))
