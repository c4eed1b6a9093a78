"""What TensorBoard gets, read back with TensorBoard's own reader."""

import re
import shutil
import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from lth.board import command
from lth.tracking.chains import verdict
from lth.training.search import search


@pytest.fixture
def boards(make_config, tmp_path):
    records = search(make_config(rounds=1, logger="tensorboard"), say=lambda line: None)
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "outputs" / "rounds"))
    found.Reload()
    return found, records


@pytest.fixture
def chain(make_config, tmp_path):
    """A ticket's chain of two rounds with a control; the multiplexer of its experiments, the records, the config."""
    config = make_config(rounds=2, epochs=1, logger="tensorboard", rate=0.5)
    config.prune.controls, config.prune.control_rounds = "reinit", "2"
    records = search(config, say=lambda line: None)
    return read(tmp_path / "outputs"), records, config


def read(outputs):
    found = EventMultiplexer().AddRunsFromDirectory(str(outputs / "experiments"))
    found.Reload()
    return found


def test_one_readable_run_a_round_with_scalars_images_and_hparams(boards):
    found, records = boards
    assert set(found.Runs()) == {record["name"] for record in records}
    for record in records:
        tags = found.GetAccumulator(record["name"]).Tags()
        scalars = {"train/loss", "train/acc", "val/loss", "val/acc", "test/acc", "lr", "train/images_per_second", "hp/test_acc"}
        assert scalars <= set(tags["scalars"])
        assert "test/confusion" in tags["images"]
        [layers] = found.Tensors(record["name"], "layers/text_summary")
        text = layers.tensor_proto.string_val[0].decode()
        assert f"| {record['flops']} |" in text
        [configuration] = found.Tensors(record["name"], "configuration/text_summary")
        assert '"epochs": 2' in configuration.tensor_proto.string_val[0].decode() or record["round"]
        assert str(record["layer_weights"]["fc1.1.weight"]) in text
        assert ("test/misclassified" in tags["images"]) == (record["test_acc"] < 1)
        assert [e.step for e in found.Scalars(record["name"], "val/acc")] == [6, 13]  # Lightning counts steps from 0
        assert abs(found.Scalars(record["name"], "test/acc")[-1].value - record["test_acc"]) < 1e-6


def test_grey_images_are_trained_on_shown_and_recorded(make_config, tmp_path):
    config = make_config(rounds=1, epochs=1, logger="tensorboard", channels=1, model="simple_cnn", normalize="mnist")
    records = search(config, say=lambda line: None)
    found = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "outputs" / "rounds"))
    found.Reload()
    for record in records:
        assert (record["mean"], record["std"]) == ([0.1307], [0.3081])
        assert record["layer_weights"]["conv1.0.weight"] == 15 * 9
        assert record["layer_flops"]["conv1.0.weight"] == 2 * 15 * 9 * 20 * 20
        assert "test/misclassified" in found.GetAccumulator(record["name"]).Tags()["images"]


def test_hparams_are_logged_once_a_round_with_the_scores(boards):
    found, records = boards
    for record in records:
        content = found.SummaryMetadata(record["name"], "_hparams_/session_start_info").plugin_data.content
        hparams = HParamsPluginData.FromString(content).session_start_info.hparams
        assert hparams["density"].number_value == pytest.approx(record["density"])
        assert hparams["model"].string_value == "lenet_300_100"
        assert hparams["control"].string_value == "none"
        assert hparams["criterion"].string_value == ("magnitude" if record["round"] else "none")
        assert len(found.Scalars(record["name"], "hp/test_acc")) == 1
        experiment = HParamsPluginData.FromString(
            found.SummaryMetadata(record["name"], "_hparams_/experiment").plugin_data.content
        ).experiment
        assert {info.name for info in experiment.hparam_infos} == set(hparams)  # of every round: TensorBoard asks any one
        [control] = [info for info in experiment.hparam_infos if info.name == "control"]
        assert "reinit" in [value.string_value for value in control.domain_discrete.values]


def values(found, run, tag):
    return [(e.step, round(float(make_ndarray(e.tensor_proto)), 5)) for e in found.Tensors(run, tag)]


def test_a_chain_is_a_run_whose_step_is_the_round(chain):
    found, records, _ = chain
    ticket, control = sorted(found.Runs(), key=len)
    assert ticket.startswith("lenet_300_100-folder-seed0-rate0.5-")
    assert control == f"{ticket}-reinit"
    tickets = [record for record in records if not record["control"]]
    assert values(found, ticket, "by round/test acc, last epoch") == [(r["round"], round(r["test_acc"], 5)) for r in tickets]
    percent = [(r["round"], round(100 * r["density"], 4)) for r in tickets]
    assert values(found, ticket, "by round/weights remaining, percent") == percent
    assert [step for step, _ in values(found, ticket, "density by round/head")] == [0, 1, 2]
    assert [step for step, _ in values(found, control, "by round/early-stop iteration")] == [2]
    assert [step for step, _ in values(found, ticket, "against weights remaining/test acc at early stop")] == [2500, 5000, 10000]


def test_histograms_count_the_kept_weights_and_the_units(chain):
    found, records, _ = chain
    ticket = min(found.Runs(), key=len)
    for record, event in zip(records, found.Tensors(ticket, "kept weights by round/fc1.1")):
        kept = record["layers"]["fc1.1.weight"] * record["layer_weights"]["fc1.1.weight"]
        assert make_ndarray(event.tensor_proto)[:, 2].sum() == pytest.approx(kept)
    masks = make_ndarray(found.Tensors(ticket, "mask by round, share kept of each output unit/head")[-1].tensor_proto)
    assert masks[:, 2].sum() == 3
    assert 0 <= masks[0, 0] <= masks[-1, 1] <= 1


def test_custom_scalars_name_tags_that_are_there(chain, tmp_path):
    found, _, _ = chain
    rounds = EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "outputs" / "rounds"))
    rounds.Reload()
    tags = {tag for run in found.Runs() for tag in found.GetAccumulator(run).Tags()["tensors"]}
    tags |= {tag for run in rounds.Runs() for tag in rounds.GetAccumulator(run).Tags()["scalars"]}
    for run in found.Runs():
        [event] = found.Tensors(run, "custom_scalars__config__")
        layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
        assert [len(category.chart) for category in layout.category] == [3, 5, 4]
        patterns = [pattern for category in layout.category for chart in category.chart for pattern in chart.multiline.tag]
        assert all(any(re.match(pattern, tag) for tag in tags) for pattern in patterns)


def test_a_repeated_command_adds_no_point_and_a_longer_one_only_its_own(chain, tmp_path):
    _, _, config = chain
    files = {p: p.stat().st_mtime_ns for p in tmp_path.glob("outputs/experiments/*/*")}
    search(config, say=lambda line: None)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.glob("outputs/experiments/*/*")} == files
    config.prune.rounds = 3
    search(config, say=lambda line: None)
    found = read(tmp_path / "outputs")
    ticket = min(found.Runs(), key=len)
    assert [step for step, _ in values(found, ticket, "by round/val acc, last epoch")] == [0, 1, 2, 3]
    assert [step for step, _ in values(found, ticket, "against weights remaining/val acc, last epoch")] == [
        1250,
        2500,
        5000,
        10000,
    ]
    assert len(list((tmp_path / "outputs" / "experiments" / ticket).glob("*.chain.*"))) == 1


def test_what_is_missing_of_an_experiment_is_written_from_the_rounds(chain, tmp_path):
    found, _, config = chain
    ticket = min(found.Runs(), key=len)
    before = {p.name: p.read_bytes() for p in tmp_path.glob(f"outputs/experiments/{ticket}/*")}
    shutil.rmtree(tmp_path / "outputs" / "experiments")
    search(config, say=lambda line: None)
    assert {p.name: p.read_bytes() for p in tmp_path.glob(f"outputs/experiments/{ticket}/*")} == before


def test_the_last_verdict_is_shown_alone(tmp_path):
    for said in ("one", "two", "two"):
        verdict(tmp_path, said)
    found = read(tmp_path)
    [event] = found.Tensors("verdict", "verdict")
    assert make_ndarray(event.tensor_proto).item() == b"two"


def test_the_door_opens_tensorboard_on_rounds_and_experiments(tmp_path):
    (tmp_path / "rounds" / "a-0").mkdir(parents=True)
    line = command([str(tmp_path), "--port", "6010"])
    assert line[1:] == ["-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", "6010"]
    told = subprocess.run(
        [sys.executable, "-m", "lth.board", str(tmp_path / "none")], check=False, capture_output=True, text=True
    )
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "holds no rounds" in told.stderr


def test_the_door_says_how_it_is_used(tmp_path):
    told = subprocess.run(
        [sys.executable, "-m", "lth.board", "--help"], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert told.returncode == 0
    assert "usage: python -m lth.board [outputs]" in told.stdout
